"""Whether a request that was sent carries the signature that botocore would have made: `sigv4.py < request.json`.

The request, as an upstream received it: `{"method", "url", "headers": [[name, value], ...], "body" (or "body_base64"),
"access_key_id", "secret_access_key", "session_token" (if any), "region", "service"}`; `url` has scheme and host as they were
dialled, path and query to the byte. Prints what is wrong and ends with 1; needs what sigv4-requirements.txt names.
"""

import base64
import hashlib
import json
import re
import sys

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

AUTHORIZATION = re.compile(r"AWS4-HMAC-SHA256 Credential=([^,\s]+), SignedHeaders=([^,\s]+), Signature=([0-9a-f]{64})")
# Headers that change on the way: a signature that covers one does not hold.
UNSIGNED = {"accept-encoding", "authorization", "connection", "content-length", "expect", "transfer-encoding", "user-agent", "x-amzn-trace-id"}


def problems(request):
    """What is wrong with a request's signature, as a list of sentences."""
    sent = {}
    for name, value in request["headers"]:
        if name.lower() in sent and name.lower() in ("authorization", "host", "x-amz-date", "x-amz-security-token"):
            return [f"`{name}` was sent twice"]
        sent.setdefault(name.lower(), []).append(value)
    sent = {name: ",".join(values) for name, values in sent.items()}

    match = AUTHORIZATION.fullmatch(sent.get("authorization", ""))
    if not match:
        return ["`authorization` is none of Amazon's version 4"]
    scope, signed, signature = match[1], match[2].split(";"), match[3]
    date = sent.get("x-amz-date", "")
    wanted = [request["access_key_id"], date[:8], request["region"], request["service"], "aws4_request"]
    if scope.split("/") != wanted:
        return [f"the credential's scope is {scope}, not {'/'.join(wanted)}"]

    found = []
    needed = {"host", "x-amz-date"} | {name for name in sent if name == "content-type" or name.startswith("x-amz-")}
    if request.get("session_token"):
        needed.add("x-amz-security-token")
    if sent.get("x-amz-security-token") != request.get("session_token"):
        found.append("`x-amz-security-token` is not the session's")
    if missing := needed - set(signed):
        found.append(f"not signed: {', '.join(sorted(missing))}")
    if absent := set(signed) - set(sent):
        found.append(f"signed, but not sent: {', '.join(sorted(absent))}")
    if fragile := set(signed) & UNSIGNED:
        found.append(f"signed, though proxies may change them: {', '.join(sorted(fragile))}")
    if signed != sorted(signed):
        found.append("the signed headers are not in order")
    body = base64.b64decode(request["body_base64"]) if "body_base64" in request else request.get("body", "").encode()
    if sent.get("x-amz-content-sha256", hashlib.sha256(body).hexdigest()) != hashlib.sha256(body).hexdigest():
        found.append("`x-amz-content-sha256` is not the body's")
    if found:
        return found

    # Its own steps, for the moment at which the request was signed.
    credentials = Credentials(request["access_key_id"], request["secret_access_key"], request.get("session_token"))
    signer = SigV4Auth(credentials, request["service"], request["region"])
    again = AWSRequest(request["method"], request["url"], {name: sent[name] for name in signed}, body)
    again.context["timestamp"] = date
    canonical = signer.canonical_request(again)
    expected = signer.signature(signer.string_to_sign(again, canonical), again)
    if expected != signature:
        return [f"the signature is {signature}, botocore's is {expected}, of\n{canonical}"]
    return []


def main():
    found = problems(json.load(sys.stdin))
    for problem in found:
        print(f"error: {problem}")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
