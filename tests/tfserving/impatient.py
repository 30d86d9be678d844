"""Waiting times for tests."""

from diagnosis.predictors.tf_serving import Patience

IMPATIENT = Patience(
    connect=0.5, read=0.5, deadline=1.5, attempts=3, backoff=0.001, resolve=60.0, status=0.5
)
