"""The container's entry point: secrets from files into the environment, then the command.

``python serving/entrypoint.py COMMAND [ARGUMENT …]``

- ``SECRET_KEY_FILE``, ``DATABASE_URL_FILE`` and ``QUEUE_URL_FILE`` name files that hold the value
  of the variable without ``_FILE``.
- ``DATABASE_PASSWORD_FILE`` and ``QUEUE_PASSWORD_FILE`` name files with a password, which is put
  into DATABASE_URL or QUEUE_URL with percent-encoding.
- The container's own addresses join ALLOWED_HOSTS: probes and Prometheus ask by address.

The command takes the place of this process, so that SIGTERM reaches it and its exit status is
the container's. What is wrong is said in one sentence, and nothing is started.
"""

import os
import socket
import sys
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import quote, urlsplit, urlunsplit

VALUES = {name: f"{name}_FILE" for name in ("SECRET_KEY", "DATABASE_URL", "QUEUE_URL")}
PASSWORDS = {"DATABASE_URL": "DATABASE_PASSWORD_FILE", "QUEUE_URL": "QUEUE_PASSWORD_FILE"}


class StartRefusedError(Exception):
    """The environment is not one to start with; the message says how to mend it."""


def environment(given: Mapping[str, str]) -> dict[str, str]:
    """``given`` with secrets in place of the names of their files.

    Raises:
        StartRefusedError: a file cannot be read or is empty, or two variables
            contradict each other.
    """
    made = {name: value for name, value in given.items() if value or name not in VALUES}
    for name, source in VALUES.items():
        path = made.pop(source, "")
        if path and name in made:
            raise StartRefusedError(f"Set {name} or {source}, not both.")
        if path:
            made[name] = secret(source, path)
    for name, source in PASSWORDS.items():
        if path := made.pop(source, ""):
            made[name] = with_password(name, made.get(name, ""), secret(source, path), source)
    if hosts := made.get("ALLOWED_HOSTS"):
        made["ALLOWED_HOSTS"] = ",".join([hosts, *map(as_host, own_addresses())])
    return made


def secret(variable: str, path: str) -> str:
    """The one line that the file at ``path`` holds, without its line break.

    Raises:
        StartRefusedError: it cannot be read, is empty or has several lines.
    """
    try:
        content = Path(path).read_text("utf-8").rstrip("\r\n")
    except OSError as error:
        raise StartRefusedError(
            f"{variable} names {path}, which cannot be read ({error.strerror}); mount the secret "
            f"there, readable for user {os.getuid()}."
        ) from error
    except UnicodeDecodeError as error:
        raise StartRefusedError(f"{variable} names {path}, which is not UTF-8 text.") from error
    if not content or "\n" in content:
        found = "several lines" if content else "nothing"
        raise StartRefusedError(
            f"{variable} names {path}, which holds {found}; write one line into it."
        )
    return content


def with_password(name: str, url: str, password: str, source: str) -> str:
    """``url``, the value of variable ``name``, with ``password`` in its place.

    Raises:
        StartRefusedError: there is no URL with a host, or it has a password already.
    """
    try:
        parts = urlsplit(url)
        if not parts.hostname:
            raise ValueError("no host")
    except ValueError as error:
        raise StartRefusedError(
            f"{source} is set, and {name} is no address with a host to put the password into; "
            f"give {name} without a password, such as mysql://user@host:3306/name."
        ) from error
    if parts.password is not None:
        raise StartRefusedError(f"{name} holds a password already; leave it out, or {source}.")
    user, _, host = parts.netloc.rpartition("@")
    return urlunsplit(parts._replace(netloc=f"{user}:{quote(password, safe='')}@{host}"))


def own_addresses() -> list[str]:
    """The addresses that this machine's name stands for; none where it stands for nothing."""
    try:
        found = socket.getaddrinfo(socket.gethostname(), None, type=socket.SOCK_STREAM)
    except OSError:
        return []
    return sorted({str(info[4][0]) for info in found})


def as_host(address: str) -> str:
    """``address`` as it stands in a URL."""
    return f"[{address}]" if ":" in address else address


def main() -> None:
    """Become the command."""
    command = sys.argv[1:]
    if not command:
        sys.exit("Start refused: name a command, such as `gunicorn` or `python manage.py worker`.")
    try:
        variables = environment(os.environ)
    except StartRefusedError as error:
        sys.exit(f"Start refused: {error}")
    try:
        os.execvpe(command[0], command, variables)  # noqa: S606 - becoming it is the purpose
    except OSError as error:
        sys.exit(f"Start refused: {command[0]} cannot be run ({error.strerror}).")


if __name__ == "__main__":
    main()
