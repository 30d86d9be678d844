"""Who may do what, address by address: the expected outcome of ``test_role_matrix``.

T technician, H haematologist, A administrator, U auditor (A and U are staff), N signed in without
any role, - not signed in. A line is: methods, address as its pattern is written, who may.
Whoever is not named is refused: 401 from the API, the sign-in page where nobody is signed in (in
the administration, where nobody of the staff is), else 403.
"""

PAGES = """
GET POST PUT PATCH DELETE  login                            T H A U N -
POST                   logout                               T H A U N
GET POST               password                             T H A U N
GET                    healthz                              T H A U N -
GET                    readyz                               T H A U N -
GET                    metrics                              T H A U N -

GET                                                         T H A U
GET                    dashboard                            T H A U
POST                   guide/hide                           H
POST                   views/save                           T H A U
POST                   views/<int:pk>/delete                T H A U
GET POST PUT PATCH DELETE  language                             T H A U N -
GET                    diagnoses                            T H A U
GET                    diagnoses/unassigned                 T H A U
POST                   diagnoses/unassigned                 T H
POST                   diagnoses/unassigned/held            T H
GET                    diagnoses/<int:pk>                   T H A U
GET                    diagnoses/<int:pk>/image             T H A U
GET                    diagnoses/<int:pk>/thumbnail         T H A U
GET                    diagnoses/<int:pk>/activation        T H A U
GET POST               diagnoses/<int:pk>/assign            T H A
GET POST               diagnoses/<int:pk>/withdraw          T H
POST                   diagnoses/<int:pk>/review            H
GET                    specimens/<str:accession>            T H A U
POST                   specimens/<str:accession>            T H
POST                   specimens/<str:accession>/held       T H
POST                   specimens/<str:accession>/take       H
POST                   specimens/<str:accession>/priority   H
POST                   specimens/<str:accession>/agree-with-all  H
GET POST               specimens/<str:accession>/sign       H
POST                   specimens/<str:accession>/amend      H
GET                    specimens/<str:accession>/report     H A U
GET                    specimens/<str:accession>/report.pdf  H A U
GET POST               specimens/<str:accession>/edit       T H A
GET POST               specimens/<str:accession>/delete     H A
GET                    patients/                            T H A U
GET POST               patients/new                         T H A
GET                    patients/<int:pk>                    T H A U
GET POST               patients/<int:pk>/edit               T H A
GET POST               patients/<int:pk>/delete             H A
GET POST               patients/<int:pk>/specimens/new      T H A
"""

API = """
GET                    api/schema                           T H A U N
GET                    api/docs                             T H A U N
POST                   api/diagnose                         T H
GET                    api/diagnoses                        T H A U
GET                    api/diagnoses/<int:pk>               T H A U
PATCH                  api/diagnoses/<int:pk>               T H A
GET                    api/diagnoses/<int:pk>/image         T H A U
POST                   api/diagnoses/<int:pk>/withdraw      T H
GET                    api/models                           T H A U
GET                    api/patients                         T H A U
POST                   api/patients                         T H A
GET                    api/patients/(?P<pk>[0-9]+)          T H A U
PUT PATCH              api/patients/(?P<pk>[0-9]+)          T H A
DELETE                 api/patients/(?P<pk>[0-9]+)          H A
GET                    api/specimens                        T H A U
POST                   api/specimens                        T H A
GET                    api/specimens/(?P<accession>[^/]+)   T H A U
PUT PATCH              api/specimens/(?P<accession>[^/]+)   T H A
DELETE                 api/specimens/(?P<accession>[^/]+)   H A
"""

ADMIN = """
GET POST               admin/                               A U
GET POST               admin/login/                         T H A U N -
POST                   admin/logout/                        T H A U N
GET POST               admin/password_change/               A U
GET                    admin/password_change/done/          A U
GET                    admin/autocomplete/                  A U
GET                    admin/jsi18n/                        A U
GET POST               admin/r/<path:content_type_id>/<path:object_id>/  A U
GET POST               admin/<app_label>/                   A U
GET POST               admin/<url>                          A U
GET POST               admin/auth/user/<id>/password/       A
"""

# Of every model in Django admin: who may view, add, change, delete.
ADMIN_MODELS = {
    "auth/group": ("A U", "A", "A", "A"),
    "auth/user": ("A U", "A", "A", "A"),
    "django_tasks_database/dbtaskresult": ("", "", "", ""),
    "audit/auditevent": ("A U", "", "", ""),
    "patients/patient": ("A U", "A", "A", "A"),
    "patients/specimen": ("A U", "A", "A", "A"),
    "diagnosis/diagnosis": ("A U", "", "", ""),
    "diagnosis/case": ("A U", "", "", ""),
    "diagnosis/review": ("A U", "", "", ""),
    "diagnosis/conclusion": ("A U", "", "", ""),
    "diagnosis/signature": ("A U", "", "", ""),
    "diagnosis/report": ("A U", "", "", ""),
    "diagnosis/amendment": ("A U", "", "", ""),
    "diagnosis/withdrawal": ("A U", "", "", ""),
    "diagnosis/identitycorrection": ("A U", "", "", ""),
    "diagnosis/correctedcase": ("A U", "", "", ""),
}


def table() -> dict[tuple[str, str], set[str]]:
    """Who may, by method and address."""
    found: dict[tuple[str, str], set[str]] = {}
    for line in f"{PAGES}\n{API}\n{ADMIN}".splitlines():
        words = line.split()
        methods = [word for word in words if word.isupper() and len(word) > 2]
        who = {word for word in words if len(word) == 1}
        address = [word for word in words if word not in methods and word not in who]
        for method in methods:
            found[method, address[0] if address else ""] = who
    for model, (view, add, change, delete) in ADMIN_MODELS.items():
        pages = {
            "": (view, view),
            "add/": (add, add),
            "<path:object_id>/": ("A U", "A U"),  # leads to the page below, which asks
            "<path:object_id>/change/": (view, change),
            "<path:object_id>/history/": (view, view),
            "<path:object_id>/delete/": (delete, delete),
        }
        for page, (get, post) in pages.items():
            found["GET", f"admin/{model}/{page}"] = set(get.split())
            found["POST", f"admin/{model}/{page}"] = set(post.split())
    return found
