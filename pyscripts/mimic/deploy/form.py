"""Forms that programs and browsers send: multipart/form-data (RFC 7578), found in a body without copying it."""

from email.message import Message
from email.parser import BytesHeaderParser
from mmap import mmap

from mimic.errors import UserError

MOST = 100  # parts; forms for a recording have ten


def boundary(content_type: str) -> bytes:
    """What divides the parts, of a Content-Type. Raises UserError for another type."""
    header = Message()
    header["Content-Type"] = content_type
    found = header.get_boundary()
    if header.get_content_type() != "multipart/form-data" or not found or not found.isascii():
        raise UserError("expected multipart/form-data with a boundary")
    return found.encode()


def fields(body: mmap | bytes, divider: bytes) -> dict[str, list[tuple[int, int]]]:
    """Where the values of each field begin and end. Raises UserError for a form that is damaged."""
    found: dict[str, list[tuple[int, int]]] = {}
    start = body.find(b"--" + divider) + 2 + len(divider)
    for _ in range(MOST):
        end = body.find(b"\r\n--" + divider, start)
        if start < 2 + len(divider) or body[start : start + 2] == b"--" or end < 0:
            break
        value = body.find(b"\r\n\r\n", start, end) + 4
        name = _name(body[start + 2 : value]) if value >= 4 else None
        if name is None:
            raise UserError("a part of the form has no name")
        found.setdefault(name, []).append((value, end))
        start = end + 4 + len(divider)
    if start < 2 + len(divider) or body[start : start + 2] != b"--":
        raise UserError(f"the form has no end, or more than {MOST} parts")
    return found


def _name(head: bytes) -> str | None:
    name = BytesHeaderParser().parsebytes(head).get_param("name", header="content-disposition")
    return name if isinstance(name, str) else None
