"""Every error Lull raises on purpose.

    LullError
    ├── SettingsError        the operator's environment is wrong; lists every fault at once
    ├── SpecError            an InferenceDeployment that got past the API server cannot be understood
    ├── TraceError           a trace cannot be replayed: unreadable, not of requests, or too large
    ├── Unreachable          a peer gave no answer in time (API server, Prometheus)
    ├── BadAnswer            a peer answered something that cannot be used
    ├── Deposed              this process does not lead, or no longer; it writes nothing more
    ├── WatchLost            the cluster is no longer watched; only a new process watches again
    └── Refused              the API server said no; carries its status code and message

Foreign exceptions are renamed to these once, in ``adapters/`` and where ``replay`` reads a trace, and nowhere else.
"""


class LullError(Exception):
    """Root of the tree."""


class SettingsError(LullError):
    """The operator's environment is wrong.

    Attributes:
        faults: one sentence per fault, each naming the variable, its value and the mend.
    """

    def __init__(self, faults: list[str]) -> None:
        super().__init__("\n".join(faults))
        self.faults = faults


class SpecError(LullError):
    """An InferenceDeployment cannot be understood; the message names the field, the value and the mend."""


class TraceError(LullError):
    """A trace cannot be replayed; the message names the file, the line, the value and the mend."""


class Unreachable(LullError):
    """A peer gave no answer in time."""


class BadAnswer(LullError):
    """A peer answered something that cannot be used."""


class Deposed(LullError):
    """This process does not lead, or no longer: what it would have written was not sent."""


class WatchLost(LullError):
    """The cluster is no longer watched, and the mirror no longer true; only a new process watches again."""


class Refused(LullError):
    """The Kubernetes API server refused a request.

    Attributes:
        status: its HTTP status.
        retry_after_s: seconds after which it asks to be asked again; None where it says nothing.
    """

    def __init__(self, status: int, message: str, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.retry_after_s = retry_after_s
