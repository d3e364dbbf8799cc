"""How the chat models that came before ``tokenizer.chat_template`` want to be asked.

GGUF files of 2023 do not say it, and without it Ollama hands them the bare question. The formats
are those that their makers published; they are written here as Ollama's templates
(github.com/ollama/ollama, ``docs/template.mdx``). Only names that leave no doubt are known.
"""

import re
from dataclasses import dataclass

__all__ = ["PromptFormat", "prompt_format"]


@dataclass(frozen=True, slots=True)
class PromptFormat:
    """A template, and what the model says when it has finished."""

    template: str
    stop: tuple[str, ...]


_CHATML = PromptFormat(
    "{{ if .System }}<|im_start|>system\n{{ .System }}<|im_end|>\n{{ end }}"
    "{{ if .Prompt }}<|im_start|>user\n{{ .Prompt }}<|im_end|>\n{{ end }}"
    "<|im_start|>assistant\n{{ .Response }}<|im_end|>\n",
    ("<|im_start|>", "<|im_end|>"),
)
_LLAMA_2 = PromptFormat(
    "[INST] {{ if .System }}<<SYS>>\n{{ .System }}\n<</SYS>>\n\n{{ end }}"
    "{{ .Prompt }} [/INST] {{ .Response }}",
    ("[INST]", "[/INST]", "<<SYS>>", "<</SYS>>"),
)
_MISTRAL = PromptFormat(
    "[INST] {{ if .System }}{{ .System }}\n\n{{ end }}{{ .Prompt }} [/INST] {{ .Response }}",
    ("[INST]", "[/INST]"),
)
_ZEPHYR = PromptFormat(
    "{{ if .System }}<|system|>\n{{ .System }}</s>\n{{ end }}"
    "{{ if .Prompt }}<|user|>\n{{ .Prompt }}</s>\n{{ end }}<|assistant|>\n{{ .Response }}</s>\n",
    ("<|system|>", "<|user|>", "<|assistant|>", "</s>"),
)
_VICUNA = PromptFormat(
    "{{ if .System }}{{ .System }} {{ end }}USER: {{ .Prompt }} ASSISTANT: {{ .Response }}</s>",
    ("USER:", "ASSISTANT:"),
)
_ALPACA = PromptFormat(
    "{{ if .System }}{{ .System }}\n\n{{ end }}"
    "{{ if .Prompt }}### Instruction:\n{{ .Prompt }}\n\n{{ end }}"
    "### Response:\n{{ .Response }}\n\n",
    ("### Instruction:", "### Response:"),
)
_KNOWN = (
    (r"chat-?ml|open-?hermes-?2|hermes-?2|dolphin-?2|qwen[-.\d]*b?-?chat", _CHATML),
    (r"zephyr|tiny-?llama.*chat", _ZEPHYR),
    (r"vicuna", _VICUNA),
    (r"alpaca", _ALPACA),
    (r"llama-?2-.*chat", _LLAMA_2),
    (r"(?:mistral|mixtral)-.*instruct", _MISTRAL),
)
_PATTERNS = tuple((re.compile(rf"(?<![a-z0-9])(?:{text})"), known) for text, known in _KNOWN)


def prompt_format(name: str) -> PromptFormat | None:
    """How the model of this name is asked; ``None`` if its name does not say."""
    words = re.sub(r"[^a-z0-9.]+", "-", name.lower()[:1024])
    return next((known for pattern, known in _PATTERNS if pattern.search(words)), None)
