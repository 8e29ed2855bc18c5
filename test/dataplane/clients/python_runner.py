"""Makes the calls that come on standard input, one JSON document a line, with the official SDKs of Python, many at a time; writes what came of each as a line.

The same documents as node-runner.ts takes: see call.ts.
"""

import base64
import json
import ssl
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import anthropic
import openai
from google import genai

# reading the certificates of the machine takes longer than a call, so clients share what they need for TLS
OPENAI_HTTP = openai.DefaultHttpxClient()
ANTHROPIC_HTTP = anthropic.DefaultHttpxClient()
TLS = ssl.create_default_context()
OUTPUT = threading.Lock()


def make_client(client):
    family, url, key, headers = client["family"], client["url"], client["key"], client["headers"]
    if family == "openai":
        return openai.OpenAI(base_url=url, api_key=key, default_headers=headers, http_client=OPENAI_HTTP)
    if family == "azure":
        return openai.AzureOpenAI(
            azure_endpoint=url, api_key=key, api_version=client["apiVersion"], default_headers=headers, http_client=OPENAI_HTTP
        )
    if family == "anthropic":
        return anthropic.Anthropic(base_url=url, api_key=key, default_headers=headers, http_client=ANTHROPIC_HTTP)
    options = genai.types.HttpOptions(
        base_url=url,
        api_version=client["apiVersion"],
        headers=headers,
        client_args={"verify": TLS},
        async_client_args={"verify": TLS},
    )
    return genai.Client(api_key=key, http_options=options)


def find(client, method):
    for name in method.split("."):
        client = getattr(client, name)
    return client


def with_files(parameters):
    return {name: to_file(value) for name, value in parameters.items()}


def to_file(value):
    if isinstance(value, dict) and "$file" in value:
        return (value["$file"], base64.b64decode(value["base64"]), value["type"])
    return value


def to_plain(value):
    return value.model_dump(mode="json", warnings=False) if hasattr(value, "model_dump") else value


def read(call, result, seen):
    if call.get("final"):
        with result as stream:
            return getattr(stream, call["final"])(), None
    if call["answer"] == "value":
        return result, getattr(result, "_request_id", None)
    if call["answer"] == "bytes":
        return base64.b64encode(result.read()).decode(), None
    for each in result:
        seen.append(to_plain(each))
    return seen, None


def make(call):
    seen = []
    try:
        # a client that is collected closes its connections, also under a stream that it made
        client = make_client(call["client"])
        result = find(client, call["method"])(*call.get("positional", []), **with_files(call.get("parameters", {})))
        value, request_id = read(call, result, seen)
        return {"answered": True, "value": to_plain(value), "requestId": request_id}
    except Exception as error:
        return {"answered": False, "seen": len(seen), **to_failure(error)}


def to_failure(error):
    failure = {"exception": type(error).__name__, "message": str(error)}
    if isinstance(error, genai.errors.APIError):
        return {**failure, "status": error.code, "type": error.status}
    return {
        **failure,
        "status": getattr(error, "status_code", None),
        "code": getattr(error, "code", None),
        "type": getattr(error, "type", None),
        "requestId": getattr(error, "request_id", None),
    }


def tell(line):
    call = json.loads(line)
    outcome = json.dumps({"id": call["id"], **make(call)})
    with OUTPUT:
        print(outcome, flush=True)


with ThreadPoolExecutor(max_workers=64) as pool:
    for done in pool.map(tell, sys.stdin):
        pass
