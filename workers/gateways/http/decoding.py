"""Decode response bodies piece by piece, up to a limit of decoded bytes."""

import zlib

GZIP, ZLIB, RAW_DEFLATE = 31, 15, -15  # zlib's `wbits`


class NotDecodable(ValueError):
    """The body does not match its Content-Encoding, or has an encoding that was not requested."""


class Decoder:
    """Decodes one body."""

    def __init__(self, encoding: str) -> None:
        self._packed = encoding in ("gzip", "x-gzip", "deflate")
        self._is_gzip = encoding != "deflate"
        if not self._packed and encoding not in ("", "identity"):
            raise NotDecodable(encoding)
        self._unpacking: zlib._Decompress | None = None

    def decode(self, data: bytes, limit: int) -> bytes:
        """Decode the next piece; a result longer than `limit` is cut off after one more byte."""
        if not self._packed:
            return data
        decoded = b""
        while data and len(decoded) <= limit:
            unpacking = self._unpacking = self._unpacking or zlib.decompressobj(self._format(data))
            try:
                decoded += unpacking.decompress(data, limit + 1 - len(decoded))
            except zlib.error:
                raise NotDecodable("broken") from None
            data = unpacking.unconsumed_tail
            if unpacking.eof:  # of this member; gzip may have several
                data, self._unpacking = unpacking.unused_data if self._is_gzip else b"", None
                if not data.strip(b"\x00"):
                    break
        return decoded

    def _format(self, data: bytes) -> int:
        if self._is_gzip:
            return GZIP
        # Some servers leave zlib's header out.
        return ZLIB if data[0] & 0x0F == 8 and (len(data) < 2 or int.from_bytes(data[:2]) % 31 == 0) else RAW_DEFLATE
