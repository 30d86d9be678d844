from diagnosis.core.predictors.circuit import Circuit


class Clock:
    """Time that a test moves."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


def opened(clock: Clock) -> Circuit:
    circuit = Circuit(failures_allowed=3, rest_s=10, clock=clock)
    for _ in range(3):
        assert circuit.admit()
        circuit.failed()
    return circuit


def test_it_opens_after_failures_in_a_row() -> None:
    circuit = Circuit(failures_allowed=3, clock=Clock())
    for _ in range(2):
        circuit.failed()
    assert (circuit.state, circuit.admit()) == ("closed", True)
    circuit.failed()
    assert (circuit.state, circuit.admit()) == ("open", False)


def test_a_success_in_between_starts_the_count_again() -> None:
    circuit = Circuit(failures_allowed=3, clock=Clock())
    for _ in range(5):
        circuit.failed()
        circuit.failed()
        circuit.succeeded()
    assert circuit.state == "closed"


def test_after_its_rest_one_may_try() -> None:
    clock = Clock()
    circuit = opened(clock)
    clock.now += 9.9
    assert not circuit.admit()
    clock.now += 0.1
    assert circuit.state == "half-open"
    assert [circuit.admit() for _ in range(3)] == [True, False, False]


def test_the_trial_s_success_closes_it() -> None:
    clock = Clock()
    circuit = opened(clock)
    clock.now += 10
    assert circuit.admit()
    circuit.succeeded()
    assert circuit.state == "closed"
    assert [circuit.admit() for _ in range(3)] == [True, True, True]


def test_the_trial_s_failure_opens_it_again() -> None:
    clock = Clock()
    circuit = opened(clock)
    clock.now += 10
    assert circuit.admit()
    clock.now += 5
    circuit.failed()
    clock.now += 9.9
    assert not circuit.admit()
    clock.now += 0.1
    assert circuit.admit()


def test_a_trial_that_never_reports_back_does_not_lock_it_for_ever() -> None:
    clock = Clock()
    circuit = opened(clock)
    clock.now += 10
    assert circuit.admit()
    clock.now += 10
    assert circuit.admit()
