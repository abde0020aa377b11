"""What the links in Stripe's objects lead to: invoices as pages and as PDF, receipts."""

from devstack.stripe_simulator.idempotency import Answer
from devstack.stripe_simulator.world import World


def show(world: World, path: str) -> tuple[Answer, str]:
    """The answer to a browser, and its media type."""
    place, _, name = path.strip("/").partition("/")
    found = world.find(name.removesuffix("/pdf"))
    if place == "invoices" and found and found["object"] == "invoice":
        text = f"Invoice {found['number']}: {found['total'] / 100:.2f} {found['currency'].upper()}, {found['status']}"
        if name.endswith("/pdf"):
            return Answer(200, pdf(text)), "application/pdf"
        return Answer(200, text.encode()), "text/plain; charset=utf-8"
    if place in ("receipts", "3d_secure") and found:
        return Answer(200, f"{place} {found['id']}".encode()), "text/plain; charset=utf-8"
    if place == "health":
        return Answer(200, b"ok"), "text/plain; charset=utf-8"
    return Answer(404, b"There is nothing here."), "text/plain; charset=utf-8"


def pdf(text: str) -> bytes:
    """A PDF of one line, small and valid."""
    stream = f"BT /F1 14 Tf 60 760 Td ({text.replace('(', '[').replace(')', ']')}) Tj ET".encode("latin-1", "replace")
    bodies = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents 4 0 R "
        b"/Resources << /Font << /F1 << /Type /Font /Subtype /Type1 /BaseFont /Helvetica >> >> >> >>",
        b"<< /Length %d >>\nstream\n%s\nendstream" % (len(stream), stream),
    ]
    made, places = b"%PDF-1.4\n", []
    for number, body in enumerate(bodies, 1):
        places.append(len(made))
        made += b"%d 0 obj\n%s\nendobj\n" % (number, body)
    table = b"".join(b"%010d 00000 n \n" % place for place in places)
    tail = b"trailer\n<< /Size 5 /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n" % len(made)
    return made + b"xref\n0 5\n0000000000 65535 f \n" + table + tail
