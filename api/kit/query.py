"""Check of query parameters: a parameter of the endpoint occurs at most once, and there are no others.

With an ignored name, a list would contain everything: `GET /v1/scores?seller=S-1` would list the scores of all sellers.
With a repeated name, two programs could interpret one request differently: parsers differ in the value that they use.
"""

from __future__ import annotations

import collections

from fastapi import Request

from api.errors import InvalidRequest
from api.kit.problems import MAX_NAME


def check_query(request: Request) -> None:
    """Check the query of a request, whose route is known.

    Example: for `GET /v1/scores?seller=S-1`, the problem lists `query/seller` and the allowed names.

    Raises:
        InvalidRequest: It lists each unknown and each repeated parameter.
    """
    if not request.scope["query_string"]:
        return
    allowed = [each.alias for each in request.scope["route"].dependant.query_params]
    known = f"Use one of: {', '.join(allowed)}" if allowed else "This call has no query parameters"
    invalid = []
    for name, count in collections.Counter(name for name, _ in request.query_params.multi_items()).items():
        where = f"query/{name[:MAX_NAME]}"
        if name not in allowed:
            invalid.append({"where": where, "rule": "unknown", "message": f"Unknown parameter. {known}"})
        elif count > 1:
            invalid.append({"where": where, "rule": "once", "message": f"Must occur once; it occurs {count} times"})
    if invalid:
        raise InvalidRequest(invalid)
