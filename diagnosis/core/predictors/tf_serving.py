"""Client of TensorFlow Serving's REST interface.

The version's number is always in the URL, because an answer does not say which version gave it.
Several addresses share the load; one that fails is passed over, and left alone for a while when
it keeps failing. A server that is busy does not fail: so that it can keep up, a process sends few
calls at once and lets the others wait here, and a call that came too late in the server's own
queue is told apart from one that nobody took up.
"""

import random
import threading
import time
from collections.abc import Callable, Iterator, Sequence, Set
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np
import requests
from numpy.typing import NDArray
from requests.adapters import HTTPAdapter
from urllib3 import HTTPResponse
from urllib3.exceptions import HTTPError

from diagnosis.core.errors import (
    ModelAwayError,
    ModelBusyError,
    ModelUnavailableError,
    PredictorError,
)
from diagnosis.core.imaging.contract import ModelContract
from diagnosis.core.predictors import wire
from diagnosis.core.predictors.addresses import Address, resolve
from diagnosis.core.predictors.base import (
    Explanation,
    Prediction,
    check_images,
    make_explanation,
    make_prediction,
)
from diagnosis.core.predictors.circuit import Circuit, State

BATCH = 16  # images a request; serving/batching.config takes as many at once
OUTPUTS = ("probabilities", "ood_score")
AVAILABLE = "AVAILABLE"
# Calls that a process has under way; PREDICTOR_CALLS. As many as a web process has threads, so that
# none of them waits; and three processes (two of web, one worker) send no more calls of BATCH than
# serving/batching.config takes in, which is what a server answers within ``Patience.read``.
CALLS_AT_ONCE = 4
CONNECTIONS = 32  # kept alive for each address, at least as many as a process has threads
ANSWER_BYTES = 64 * 1024  # no answer of BATCH images comes near it

Answer = TypeVar("Answer")


@dataclass(frozen=True)
class Patience:
    """How long is waited for what, in seconds.

    Attributes:
        turn: for one of the process's calls to end, where as many as may be are under way. As
            long as two cores need for 32 calls of ``BATCH`` images.
        connect: for a connection.
        read: for the next bytes of an answer.
        deadline: for one call with all its attempts, once it had its turn. With ``turn`` far below
            a diagnosis's lease.
        attempts: requests for one call, at most.
        backoff: before the first repetition on servers that were all tried; doubled each time,
            and drawn at random from 0 to that, so that clients do not come back in step.
        resolve: between two looks at which addresses a name has.
        status: for the answer to a question about the version's state.
    """

    turn: float = 10.0
    connect: float = 1.0
    read: float = 5.0
    deadline: float = 8.0
    attempts: int = 5
    backoff: float = 0.1
    resolve: float = 15.0
    status: float = 1.0


class _TimedOutError(ModelAwayError):
    """It was sent, and nothing came back for as long as one waits."""


class _StillQueuedError(ModelBusyError):
    """It was sent, and the server, which answered others meanwhile, did not come to it in time."""


@dataclass(eq=False)
class _Server:
    """One address, and what is known about it."""

    address: Address
    circuit: Circuit = field(default_factory=Circuit)
    in_flight: int = 0


class TFServingPredictor:
    """One version on one or several model servers. Safe to share by threads."""

    def __init__(
        self,
        urls: Sequence[str],
        contract: ModelContract,
        patience: Patience | None = None,
        new_circuit: Callable[[], Circuit] = Circuit,
        calls_at_once: int = CALLS_AT_ONCE,
    ) -> None:
        """Ask nothing yet.

        Args:
            urls: model URLs, from ``addresses.model_urls``.
            contract: of the version to ask for.
            calls_at_once: to all servers together; the others wait for their turn.
        """
        self._urls = tuple(urls)
        self._contract = contract
        self._patience = patience or Patience()
        self._new_circuit = new_circuit
        self._turns = threading.BoundedSemaphore(calls_at_once)
        self._lock = threading.Lock()
        self._servers: dict[Address, _Server] = {}
        self._resolve_at = 0.0
        self._session = requests.Session()
        self._session.trust_env = False  # a proxy of the environment is for the internet
        for scheme in ("http://", "https://"):
            self._session.mount(scheme, HTTPAdapter(pool_maxsize=CONNECTIONS))

    @property
    def contract(self) -> ModelContract:
        """The contract of this version."""
        return self._contract

    def predict(self, images: NDArray[np.uint8]) -> list[Prediction]:
        """See ``Predictor.predict``; up to ``BATCH`` images travel in one request.

        Raises:
            ModelAwayError: no server answers.
            ModelBusyError: the servers, or this process, have too much to do.
            PredictorError: as for ``wire.read_rows``.
        """
        check_images(images, self._contract)
        predictions: list[Prediction] = []
        for start in range(0, len(images), BATCH):
            part = images[start : start + BATCH]
            predictions += self._ask(wire.bytes_request(part), len(part), OUTPUTS, self._prediction)
        return predictions

    def explain(self, image: NDArray[np.uint8]) -> Explanation:
        """See ``Predictor.explain``; raises what ``predict`` does."""
        check_images(image[np.newaxis], self._contract)
        body = wire.explain_request(image)
        (explanation,) = self._ask(body, 1, (*OUTPUTS, "activation"), self._explanation)
        return explanation

    def is_ready(self) -> bool:
        """Whether it is worth asking: some server is not left alone just now. Sends nothing."""
        try:
            servers = self._known_servers()
        except ModelAwayError:
            return False
        return any(server.circuit.state != "open" for server in servers)

    def is_available(self) -> bool:
        """Whether some server says that it has loaded the version; asks them."""
        try:
            servers = self._known_servers()
        except ModelAwayError:
            return False
        until = time.monotonic() + self._patience.status
        return any(self._state(server.address, until) == AVAILABLE for server in servers)

    def circuit_states(self) -> dict[str, State]:
        """The circuit of each server, by the URL of the model there."""
        with self._lock:
            servers = list(self._servers.values())
        return {server.address.url: server.circuit.state for server in servers}

    def _ask(
        self,
        body: bytes,
        count: int,
        outputs: Sequence[str],
        read: Callable[[wire.Row], Answer],
    ) -> list[Answer]:
        """Send ``body``, when its turn has come, until a server answers it within the deadline."""
        failures: list[PredictorError] = []
        with self._turn():
            deadline = time.monotonic() + self._patience.deadline
            for server in self._servers_to_ask(failures, deadline):
                answered_before = server.circuit.answers
                try:
                    rows = self._send(server.address, body, count, outputs, deadline)
                    answers = [read(row) for row in rows]
                except PredictorError as failure:
                    failures.append(_judged(failure, server.circuit, answered_before))
                else:
                    server.circuit.succeeded()
                    return answers
                finally:
                    with self._lock:
                        server.in_flight -= 1
        raise self._summary(failures)

    @contextmanager
    def _turn(self) -> Iterator[None]:
        """Be one of the calls that this process has under way.

        Raises:
            ModelBusyError: none of the others ended in time.
        """
        if not self._turns.acquire(timeout=self._patience.turn):
            raise ModelBusyError(f"{self._model}: too many calls of this process are under way")
        try:
            yield
        finally:
            self._turns.release()

    def _servers_to_ask(
        self, failures: Sequence[PredictorError], deadline: float
    ) -> Iterator[_Server]:
        """The server to ask next, as long as it makes sense to ask again."""
        tried: set[Address] = set()
        for attempt in range(self._patience.attempts):
            server = self._take(tried)
            if server is None and tried:  # each was asked once: all again, a little later
                if not any(_worth_repeating(failure) for failure in failures):
                    return
                pause = random.uniform(0, self._patience.backoff * 2**attempt)  # noqa: S311
                if time.monotonic() + pause >= deadline:
                    return
                time.sleep(pause)
                tried.clear()
                server = self._take(tried)
            if server is None:
                return
            tried.add(server.address)
            yield server
            if time.monotonic() >= deadline:
                return

    def _take(self, tried: Set[Address]) -> _Server | None:
        """The least busy server that was not tried and may be asked; counted as busy."""
        servers = [server for server in self._known_servers() if server.address not in tried]
        random.shuffle(servers)
        with self._lock:
            for server in sorted(servers, key=lambda server: server.in_flight):
                if server.circuit.admit():
                    server.in_flight += 1
                    return server
        return None

    def _known_servers(self) -> list[_Server]:
        """The servers behind all names, looked up again now and then.

        Raises:
            ModelAwayError: no name has ever had an address.
        """
        with self._lock:
            due = time.monotonic() >= self._resolve_at
            if due and self._servers:  # others go on with what is known
                self._resolve_at = time.monotonic() + self._patience.resolve
        if due:
            self._look_up()
        with self._lock:
            return list(self._servers.values())

    def _look_up(self) -> None:
        """Take in which addresses there are; a name that has none for now keeps what it had."""
        found: list[Address] = []
        unknown = []
        for url in self._urls:
            try:
                found += resolve(url)
            except OSError as error:
                unknown.append(f"{url} ({error.strerror or error})")
        with self._lock:
            if unknown:
                found += [address for address in self._servers if address not in found]
            if not found:
                raise ModelAwayError(f"no address can be found for {', '.join(unknown)}")
            self._servers = {
                address: self._servers.get(address) or _Server(address, self._new_circuit())
                for address in found
            }
            self._resolve_at = time.monotonic() + self._patience.resolve

    def _send(
        self, address: Address, body: bytes, count: int, outputs: Sequence[str], deadline: float
    ) -> list[wire.Row]:
        version = self._contract.version
        request = requests.Request(
            "POST",
            f"{address.url}/versions/{version}:predict",
            data=body,
            headers={"Host": address.host, "Content-Type": "application/json"},
        )
        status, answer = self._exchange(request, self._patience.read, deadline)
        return wire.read_rows(status, answer, count, outputs)

    def _state(self, address: Address, until: float) -> str:
        url = f"{address.url}/versions/{self._contract.version}"
        request = requests.Request("GET", url, headers={"Host": address.host})
        try:
            return wire.read_state(*self._exchange(request, self._patience.status, until))
        except PredictorError as error:
            return str(error)

    def _exchange(
        self, request: requests.Request, patience: float, until: float
    ) -> tuple[int, bytes]:
        """Status and body of the answer to one request.

        Raises:
            ModelAwayError: no whole answer came in time; ``_TimedOutError`` where not even its
                beginning did.
            PredictorError: the answer has no end.
        """
        prepared = request.prepare()
        prepared.headers["Accept-Encoding"] = "identity"
        left = max(0.05, min(patience, until - time.monotonic()))
        try:
            with self._session.send(
                prepared,
                stream=True,
                timeout=(min(self._patience.connect, left), left),
                allow_redirects=False,
            ) as response:
                return response.status_code, _read_body(response.raw, until)
        except requests.ReadTimeout as error:
            raise _TimedOutError(_cause(error)) from error
        except (requests.RequestException, HTTPError, OSError) as error:
            raise ModelAwayError(_cause(error)) from error

    def _summary(self, failures: Sequence[PredictorError]) -> PredictorError:
        """One error for all attempts of a call: busy, if only one of the servers was."""
        if not failures:
            return ModelAwayError(
                f"{self._model}: every server kept failing and is left alone for a moment"
            )
        message = f"{self._model}, {len(failures)} attempts: {failures[-1]}"
        if all(isinstance(failure, ModelUnavailableError) for failure in failures):
            busy = any(isinstance(failure, ModelBusyError) for failure in failures)
            return ModelBusyError(message) if busy else ModelAwayError(message)
        return PredictorError(message, permanent=all(failure.permanent for failure in failures))

    @property
    def _model(self) -> str:
        return f"version {self._contract.version} of {self._contract.name}"

    def _prediction(self, row: wire.Row) -> Prediction:
        return make_prediction(row["probabilities"], row["ood_score"], self._contract)

    def _explanation(self, row: wire.Row) -> Explanation:
        return make_explanation(self._prediction(row), row["activation"])


def _judged(failure: PredictorError, circuit: Circuit, answered_before: int) -> PredictorError:
    """What a failure says of its server, whose circuit is told.

    That the server's status page answers excuses nothing: it would for a model that hangs, too.

    Args:
        answered_before: the circuit's ``answers`` when the call was sent.
    """
    if isinstance(failure, _TimedOutError) and circuit.answers > answered_before:
        return _StillQueuedError(f"others were answered meanwhile; {failure}")
    if not isinstance(failure, ModelBusyError):
        circuit.failed()
    return failure


def _worth_repeating(failure: PredictorError) -> bool:
    """Whether the same servers may be asked again: not where that would lengthen a queue."""
    return not failure.permanent and not isinstance(failure, _StillQueuedError)


def _read_body(raw: HTTPResponse, until: float) -> bytes:
    """All of a body, as it comes, so that a trickle cannot outlast the deadline."""
    body = b""
    while part := raw.read1(ANSWER_BYTES):
        body += part
        if len(body) > ANSWER_BYTES:
            raise PredictorError("the answer is longer than any can be", permanent=False)
        if time.monotonic() > until:
            raise ModelAwayError("the answer took too long to arrive")
    return body


def _cause(error: BaseException) -> str:
    """What went wrong, without the layers that libraries wrap around it."""
    while (inner := next((a for a in error.args if isinstance(a, Exception)), None)) is not None:
        error = inner
    reason = getattr(error, "reason", None)  # of urllib3's MaxRetryError
    if isinstance(reason, Exception):
        return _cause(reason)
    return f"{type(error).__name__}: {error}"[: wire.QUOTED_AT_MOST]
