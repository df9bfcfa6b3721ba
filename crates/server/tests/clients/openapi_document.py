"""The server's OpenAPI document, before a judge that others wrote: python openapi_document.py BASE TOKEN"""

import json
import sys
import urllib.request

from openapi_spec_validator import OpenAPIV31SpecValidator

base = sys.argv[1]
# Without a token: nothing in it is secret.
with urllib.request.urlopen(f"{base}/openapi.json") as answer:
    document = json.load(answer)
errors = [f"{list(error.absolute_path)}: {error.message}" for error in OpenAPIV31SpecValidator(document).iter_errors()]
assert not errors, "\n".join(errors)
assert len(document["paths"]) > 10, document["paths"].keys()
names = [of["operationId"] for path in document["paths"].values() for of in path.values()]
assert len(names) == len(set(names)), names
