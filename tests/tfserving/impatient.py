"""Waiting times for tests."""

from diagnosis.predictors.tf_serving import Patience

IMPATIENT = Patience(
    connect=2.0, read=1.0, deadline=3.0, attempts=3, backoff=0.001, resolve=60.0, status=1.0
)
