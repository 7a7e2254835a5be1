"""Taking files that SDKs upload beside their spans: large texts, pictures."""

from __future__ import annotations

from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from cozeloop_magic.errors import remote_error
from cozeloop_magic.local.calls import BAD_REQUEST, answer, check_workspace, invalid

__all__ = ["upload_file"]


async def upload_file(request: Request) -> Response:
    """Take a file and tell its size. It is not kept: nothing in the API reads one back."""
    try:
        async with request.form(max_files=1, max_fields=10) as form:
            file, workspace = form.get("file"), form.get("workspace_id")
            if not isinstance(file, UploadFile) or not file.filename:
                raise invalid("file is missing.")
            check_workspace(request.scope["loop"], workspace)
            return answer({"data": {"bytes": str(file.size), "file_name": file.filename}})
    except HTTPException as error:  # what starlette makes of a body that is no form
        raise remote_error(f"The body is no multipart form: {error.detail}", code=BAD_REQUEST) from None
