"""Makes one call with each client that the first line of stdin names, all at the same time, once a second line comes; writes what came of them to stdout.

first line: [{"id", "sdk": "openai" | "anthropic" | "google-genai", "url", "key"}]; stdout: "ready", then {id: "answered" or the name of the exception}
"""

import json
import sys
from concurrent.futures import ThreadPoolExecutor

import anthropic
import openai
from google import genai

HELLO = [{"role": "user", "content": "Hello"}]


def prepare_openai(url, key):
    client = openai.OpenAI(base_url=f"{url}/v1", api_key=key)
    return lambda: client.chat.completions.create(model="gpt-4o-mini", messages=HELLO)


def prepare_anthropic(url, key):
    client = anthropic.Anthropic(base_url=url, api_key=key)
    return lambda: client.messages.create(model="claude-model", max_tokens=8, messages=HELLO)


def prepare_genai(url, key):
    client = genai.Client(api_key=key, http_options=genai.types.HttpOptions(base_url=url))
    return lambda: client.models.generate_content(model="gemini-2.5-flash", contents="Hello")


PREPARE = {"openai": prepare_openai, "anthropic": prepare_anthropic, "google-genai": prepare_genai}


def outcome(call):
    try:
        call()
    except Exception as error:
        return type(error).__name__
    return "answered"


cases = json.loads(sys.stdin.readline())
calls = [PREPARE[case["sdk"]](case["url"], case["key"]) for case in cases]
print("ready", flush=True)
sys.stdin.readline()
with ThreadPoolExecutor(max_workers=max(1, len(calls))) as pool:
    results = list(pool.map(outcome, calls))
json.dump({case["id"]: result for case, result in zip(cases, results)}, sys.stdout)
