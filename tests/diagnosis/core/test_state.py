from diagnosis.core.state import ALLOWED, Status


def test_every_status_says_where_it_may_lead() -> None:
    assert set(ALLOWED) == set(Status)


def test_a_result_is_for_ever() -> None:
    assert not ALLOWED[Status.SCREENED]
    assert not ALLOWED[Status.REFUSED]


def test_a_field_is_screened_refused_or_given_up_and_only_the_last_can_be_retried() -> None:
    assert ALLOWED[Status.RECEIVED] == {Status.SCREENED, Status.REFUSED, Status.FAILED}
    assert ALLOWED[Status.FAILED] == {Status.RECEIVED}
