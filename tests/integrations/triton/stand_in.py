"""What stands in for `triton_python_backend_utils`, and for a server that calls a model: no name that these have not.

`published_api.json` has the names, and a test holds this against it.
"""

from __future__ import annotations

import threading
from types import ModuleType

import numpy as np

TRITONSERVER_RESPONSE_COMPLETE_FINAL = 1


class TritonModelException(Exception):
    pass


class Tensor:
    def __init__(self, name, value):
        assert isinstance(value, np.ndarray) and value.flags.c_contiguous, "what the backend copies"
        self._name, self._value = name, value

    def name(self):
        return self._name

    def as_numpy(self):
        return self._value


class TritonError:
    UNKNOWN, INTERNAL, NOT_FOUND, INVALID_ARG, UNAVAILABLE, UNSUPPORTED, ALREADY_EXISTS, CANCELLED = range(8)

    def __init__(self, message, code=INTERNAL):
        self._message, self._code = message, code

    def message(self):
        return self._message

    def code(self):
        return self._code


class InferenceResponse:
    def __init__(self, output_tensors=(), error=None):
        assert all(isinstance(tensor, Tensor) for tensor in output_tensors)
        self._tensors, self._error = list(output_tensors), error

    def output_tensors(self):
        return self._tensors

    def has_error(self):
        return self._error is not None

    def error(self):
        return self._error


class InferenceResponseSender:
    def __init__(self, _cancel_after=None):
        self._sent, self._final, self._asked = [], 0, 0
        self._cancel_after, self._cancelled = _cancel_after, threading.Event()

    def send(self, response=None, flags=0):
        assert not self._final, "nothing may be sent behind what was final"
        if response is not None:
            self._sent.append(response)
        self._final = flags
        if self._cancel_after is not None and len(self._sent) >= self._cancel_after:
            self._cancelled.set()

    def is_cancelled(self):
        self._asked += 1
        return self._cancelled.is_set()


class InferenceRequest:
    def __init__(self, _inputs, _cancel_after=None):
        self._inputs, self._sender = _inputs, InferenceResponseSender(_cancel_after)

    def inputs(self):
        return self._inputs

    def get_response_sender(self):
        return self._sender

    def is_cancelled(self):
        return self._sender.is_cancelled()


def get_input_tensor_by_name(inference_request, name):
    return next((tensor for tensor in inference_request.inputs() if tensor.name() == name), None)


def using_decoupled_model_transaction_policy(model_config):
    return model_config.get("model_transaction_policy", {}).get("decoupled", False)


NAMES = (
    "InferenceResponse",
    "TRITONSERVER_RESPONSE_COMPLETE_FINAL",
    "Tensor",
    "TritonError",
    "TritonModelException",
    "get_input_tensor_by_name",
    "using_decoupled_model_transaction_policy",
)  # of the module; requests and senders are given


def module() -> ModuleType:
    made = ModuleType("triton_python_backend_utils")
    vars(made).update({name: globals()[name] for name in NAMES})
    return made


def request(cancel_after: int | None = None, **inputs: bytes | str | None) -> InferenceRequest:
    """A client's: bytes become a vector of uint8, a text one string. `cancel_after` so many answers it goes."""
    tensors = []
    for name, value in inputs.items():
        if isinstance(value, str):
            tensors.append(Tensor(name, np.array([value.encode()], dtype=object)))
        elif value is not None:
            tensors.append(Tensor(name, np.frombuffer(value, np.uint8)))
    return InferenceRequest(tensors, cancel_after)


def answers(request: InferenceRequest) -> list[dict[str, np.ndarray]]:
    """What a client has got, by output; what failed is raised as a RuntimeError of the message."""
    sender = request._sender
    assert sender._final == TRITONSERVER_RESPONSE_COMPLETE_FINAL, "the client would wait for ever"
    for response in sender._sent:
        if response.has_error():
            raise RuntimeError(response.error().message())
    return [{tensor.name(): tensor.as_numpy() for tensor in sent.output_tensors()} for sent in sender._sent]
