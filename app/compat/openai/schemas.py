"""What OpenAPI says of bodies that are read as they are."""

from typing import Any, Final

__all__ = ["CHAT_REQUEST", "CHAT_RESPONSE", "EMBEDDING_REQUEST", "EMBEDDING_RESPONSE"]

_QUESTION: Final = {"role": "user", "content": "How do I ingest a folder?"}
_ANSWER: Final = {
    "id": "chatcmpl-0199f0a2-7a3e-7c1e-9d2b-0f6a3c5b8d11",
    "object": "chat.completion",
    "created": 1_780_000_000,
    "model": "brag",
    "choices": [
        {
            "index": 0,
            "finish_reason": "stop",
            "logprobs": None,
            "message": {
                "role": "assistant",
                "refusal": None,
                "content": "To ingest a folder, run `python -m app ingest PATH`. [1]\n\n"
                "[1] ingestion.md > Ingestion > Folders - https://brag.example/#/documents/"
                "0199f0a2-1c2d-7c1e-9d2b-0f6a3c5b8d11?start=120&end=172",
                "annotations": [
                    {
                        "type": "url_citation",
                        "url_citation": {
                            "url": "https://brag.example/#/documents/"
                            "0199f0a2-1c2d-7c1e-9d2b-0f6a3c5b8d11?start=120&end=172",
                            "title": "Ingestion > Folders",
                            "start_index": 53,
                            "end_index": 56,
                        },
                    }
                ],
            },
        }
    ],
    "usage": {"prompt_tokens": 812, "completion_tokens": 57, "total_tokens": 869},
}
_STREAM: Final = (
    'data: {"id":"chatcmpl-0199f0a2-7a3e-7c1e-9d2b-0f6a3c5b8d11",'
    '"object":"chat.completion.chunk","created":1780000000,"model":"brag",'
    '"choices":[{"index":0,"delta":{"content":"To ingest"},"finish_reason":null}]}\n\n'
    "data: [DONE]\n\n"
)
CHAT_REQUEST: Final[dict[str, Any]] = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {
                "schema": {
                    "type": "object",
                    "required": ["model", "messages"],
                    "properties": {
                        "model": {
                            "type": "string",
                            "description": "`brag` answers from your documents; so does "
                            "`brag/NAME`, by that language model. A language model's own name "
                            "passes the request through.",
                        },
                        "messages": {
                            "type": "array",
                            "minItems": 1,
                            "description": "For `brag`, the last one is the question, those before "
                            "it are the history, and those of `system` or `developer` shape the "
                            "wording.",
                            "items": {
                                "type": "object",
                                "required": ["role"],
                                "properties": {"role": {"type": "string"}},
                            },
                        },
                        "stream": {"type": "boolean", "default": False},
                        "stream_options": {
                            "type": "object",
                            "properties": {"include_usage": {"type": "boolean"}},
                        },
                    },
                },
                "examples": {
                    "from your documents": {"value": {"model": "brag", "messages": [_QUESTION]}},
                    "as a stream": {
                        "value": {"model": "brag", "messages": [_QUESTION], "stream": True}
                    },
                },
            }
        },
    }
}
CHAT_RESPONSE: Final[dict[int | str, dict[str, Any]]] = {
    200: {
        "description": "The answer; with `stream`, server-sent events that end with `[DONE]`. "
        "After the first byte a failure is an event with an `error`.",
        "content": {
            "application/json": {"schema": {"type": "object"}, "example": _ANSWER},
            "text/event-stream": {"example": _STREAM},
        },
    }
}
_EMBEDDING_MODEL: Final = "sentence-transformers/all-MiniLM-L6-v2"
EMBEDDING_REQUEST: Final[dict[str, Any]] = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {
                "schema": {
                    "type": "object",
                    "required": ["model", "input"],
                    "properties": {
                        "model": {
                            "type": "string",
                            "description": "The knowledge base's own: `EMBEDDING_MODEL`.",
                        },
                        "input": {
                            "description": "A text, or up to 2,048; none longer than the model "
                            "reads.",
                            "anyOf": [
                                {"type": "string", "minLength": 1},
                                {
                                    "type": "array",
                                    "minItems": 1,
                                    "maxItems": 2048,
                                    "items": {"type": "string", "minLength": 1},
                                },
                            ],
                        },
                        "encoding_format": {
                            "type": "string",
                            "enum": ["float", "base64"],
                            "default": "float",
                        },
                        "dimensions": {
                            "type": "integer",
                            "description": "Those of the model, if any.",
                        },
                        "user": {"type": "string"},
                    },
                    "additionalProperties": False,
                },
                "example": {"model": _EMBEDDING_MODEL, "input": "Run it in a folder."},
            }
        },
    }
}
EMBEDDING_RESPONSE: Final[dict[int | str, dict[str, Any]]] = {
    200: {
        "description": "The vectors, of length 1; with `base64`, little-endian 32-bit floats.",
        "content": {
            "application/json": {
                "schema": {"type": "object"},
                "example": {
                    "object": "list",
                    "model": _EMBEDDING_MODEL,
                    "data": [{"object": "embedding", "index": 0, "embedding": [0.01, -0.02]}],
                    "usage": {"prompt_tokens": 8, "total_tokens": 8},
                },
            }
        },
    }
}
