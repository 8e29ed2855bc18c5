"""Sends forms with the official client, as it writes them; writes what came of them to stdout as JSON.

arguments: URL of the gateway, a key that may do it, a key without the scopes
"""

import io
import json
import sys

import openai

url, key, other_key = sys.argv[1:]


def make_client(api_key):
    return openai.OpenAI(base_url=f"{url}/v1", api_key=api_key, max_retries=0)


def make_file(name, size):
    file = io.BytesIO(b"a" * size)
    file.name = name
    return file


def refused(size):
    try:
        make_client(other_key).audio.transcriptions.create(file=make_file("a.mp3", size), model="whisper-1")
    except openai.APIStatusError as error:
        return [type(error).__name__, error.status_code, error.code]
    except openai.APIConnectionError as error:
        return [type(error).__name__, repr(error.__cause__)]


client = make_client(key)
answers = {
    "transcription": client.audio.transcriptions.create(
        file=make_file("ä \"b\".mp3", 5000), model="whisper-1", language="en", timestamp_granularities=["word", "segment"]
    ).text,
    "translation": client.audio.translations.create(file=make_file("a.mp3", 5000), model="whisper-1").text,
    "edit": client.images.edit(
        image=[make_file("a.png", 5000), make_file("b.png", 5000)], prompt="a cat\r\n--", model="gpt-image-2", n=2
    ).data[0].b64_json,
    "variation": client.images.create_variation(image=make_file("a.png", 5000), model="gpt-image-2", n=2).data[0].b64_json,
    "refused": refused(30 << 20),
}
json.dump(answers, sys.stdout)
