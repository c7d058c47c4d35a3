"""Renders the cases of cases.json with the real Jinja2 under Hugging Face's settings. usage: render.py TEMPLATE_DIR < cases.json"""
import datetime
import json
import os
import sys

from jinja2.ext import Extension, loopcontrols
from jinja2.sandbox import ImmutableSandboxedEnvironment


def raise_exception(message):
    raise ValueError(message)


class Generation(Extension):
    """marks what a model said, for training; its text is rendered unchanged"""

    tags = {"generation"}

    def parse(self, parser):
        next(parser.stream)
        return parser.parse_statements(["name:endgeneration"], drop_needle=True)


env = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True, extensions=[loopcontrols, Generation])
env.filters["tojson"] = lambda x, ensure_ascii=False, **kw: json.dumps(x, ensure_ascii=ensure_ascii, **kw)
env.globals["raise_exception"] = raise_exception
env.globals["strftime_now"] = lambda f: datetime.datetime(2026, 3, 4, 5, 6, 7).strftime(f)
tokens = {"phi3": ("<s>", "<|endoftext|>"), "chatml": ("<|im_start|>", "<|im_end|>"), "llama3": ("<|begin_of_text|>", "<|eot_id|>"), "mistral": ("<s>", "</s>"), "gemma": ("<bos>", "<eos>")}
out = {}
for name in sorted(os.listdir(sys.argv[1])):
    if not name.endswith(".jinja"):
        continue
    short = name.removesuffix(".jinja")
    out[short] = {}
for case, messages in json.load(sys.stdin).items():
    for short in out:
        bos, eos = tokens.get(short, ("", ""))
        with open(os.path.join(sys.argv[1], short + ".jinja"), encoding="utf-8") as f:
            t = env.from_string(f.read().removesuffix("\n"))
        try:
            out[short][case] = t.render(messages=messages, add_generation_prompt=True, bos_token=bos, eos_token=eos, tools=None, documents=None)
        except ValueError as e:
            out[short][case] = "raised: " + str(e)
json.dump(out, sys.stdout, ensure_ascii=False, indent=1, sort_keys=True)
print()
