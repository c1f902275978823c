"""Alterations of a signed URL, with the status that each must get.

401 is always the same body. 400 is for bytes that no request line may have: the server refuses them before routing.
"""

import base64
from datetime import timedelta

from tests.attack.signed import (
    PREVIOUS,
    RETIRED,
    TTL,
    Alter,
    added,
    after_path,
    another,
    arabic,
    decoded,
    export_id,
    full_width,
    of,
    same_bits,
    signed,
    swap,
    twice,
    value,
    without,
)
from web.auth.signed_urls import SigningKey

TAMPERED: dict[str, tuple[Alter, int]] = {
    # Ids of existing exports.
    "another workflow": (of("of another workflow", export=False), 401),
    "another export": (of("of the same workflow", workflow=False), 401),
    "both of another export": (of("of another workflow"), 401),
    "both of another team's export": (of("of another team"), 401),
    # The format.
    "format of another export": (value(b"format", b"json"), 401),
    "format in other case": (value(b"format", b"CSV"), 401),
    "format unknown": (value(b"format", b"xls"), 401),
    "format empty": (value(b"format", b""), 401),
    "format without a value": (swap(b"format=csv", b"format"), 401),
    "format missing": (without(b"format"), 401),
    # The expiry.
    "expires + 1": (value(b"expires", lambda old: b"%d" % (int(old) + 1)), 401),
    "expires - 1": (value(b"expires", lambda old: b"%d" % (int(old) - 1)), 401),
    "expires far": (value(b"expires", b"9999999999"), 401),
    "expires with a leading zero": (value(b"expires", lambda old: b"0" + old), 401),
    "expires with a plus": (value(b"expires", lambda old: b"+" + old), 401),
    "expires with an encoded plus": (value(b"expires", lambda old: b"%2B" + old), 401),
    "expires negative": (value(b"expires", lambda old: b"-" + old), 401),
    "expires with an underscore": (value(b"expires", lambda old: old[:1] + b"_" + old[1:]), 401),
    "expires full-width": (value(b"expires", full_width), 401),
    "expires in Arabic digits": (value(b"expires", arabic), 401),
    "expires of 9 digits": (value(b"expires", lambda old: old[:-1]), 401),
    "expires a float": (value(b"expires", lambda old: old + b".0"), 401),
    "expires with an exponent": (value(b"expires", lambda old: old + b"e0"), 401),
    "expires before a space": (value(b"expires", lambda old: old + b"%20"), 401),
    "expires after a space": (value(b"expires", lambda old: b"%20" + old), 401),
    "expires before a plus for a space": (value(b"expires", lambda old: old + b"+"), 401),
    "expires with a newline": (value(b"expires", lambda old: old + b"%0A"), 401),
    "expires with NUL": (value(b"expires", lambda old: old + b"%00"), 401),
    "expires of 5,000 digits": (value(b"expires", lambda old: old * 500), 401),
    "expires empty": (value(b"expires", b""), 401),
    "expires missing": (without(b"expires"), 401),
    # The signature.
    "sig, first character": (value(b"sig", lambda old: another(old[:1]) + old[1:]), 401),
    "sig, middle character": (value(b"sig", lambda old: old[:21] + another(old[21:22]) + old[22:]), 401),
    "sig, last character": (value(b"sig", lambda old: old[:-1] + another(old[-1:])), 401),
    "sig, last character that decodes the same": (value(b"sig", same_bits), 401),
    "sig padded": (value(b"sig", lambda old: old + b"="), 401),
    "sig with an encoded pad": (value(b"sig", lambda old: old + b"%3D"), 401),
    "sig with a plus of the standard alphabet": (value(b"sig", lambda old: b"+" + old[1:]), 401),
    "sig with a slash of the standard alphabet": (value(b"sig", lambda old: b"/" + old[1:]), 401),
    "sig in hex": (value(b"sig", lambda old: decoded(old).hex().encode()), 401),
    "sig in the standard alphabet, padded": (value(b"sig", lambda old: base64.b64encode(decoded(old))), 401),
    "sig cut": (value(b"sig", lambda old: old[:-1]), 401),
    "sig longer": (value(b"sig", lambda old: old + b"A"), 401),
    "sig empty": (value(b"sig", b""), 401),
    "sig missing": (without(b"sig"), 401),
    "sig non-ASCII": (value(b"sig", lambda old: old[:-1] + b"%E9"), 401),
    "sig in other case": (value(b"sig", bytes.swapcase), 401),
    # The key.
    "kid of another live key": (value(b"kid", b"k1"), 401),
    "kid unknown": (value(b"kid", b"k9"), 401),
    "kid a path": (value(b"kid", b"../k2"), 401),
    "kid in other case": (value(b"kid", b"K2"), 401),
    "kid too long": (value(b"kid", b"k" * 17), 401),
    "kid empty": (value(b"kid", b""), 401),
    "kid missing": (without(b"kid"), 401),
    "signed rightly by a retired key": (signed(RETIRED), 401),
    "signed with a guessed secret": (signed(SigningKey("k2", b"3" * 40)), 401),
    "signed rightly by the previous key": (signed(PREVIOUS), 200),
    # The audience and the maximum lifetime.
    "signed for another host": (signed(base="https://exports.example"), 401),
    "signed for a folder of this host": (lambda url: signed(base="{}/api")(url).removeprefix(b"/api"), 401),
    "signed for longer than any URL": (signed(after=timedelta(minutes=2)), 401),
    "signed for as long as any URL": (signed(after=timedelta(0)), 200),
    "a field boundary shifted": (
        lambda url: signed(base="{}x")(url).replace(b"/people/", b"/xpeople/"), 401
    ),
    "an unsigned one": (lambda url: url.target.partition(b"?")[0], 401),
    # Parameters.
    **{f"{name.decode()} twice": (twice(name), 401) for name in (b"format", b"expires", b"kid", b"sig")},
    **{
        f"{name.decode()} twice, the second another": (twice(name, other), 401)
        for name, other in ((b"format", b"json"), (b"expires", b"9999999999"), (b"kid", b"k1"), (b"sig", b"A" * 43))
    },
    "an extra parameter": (added(b"&x=1"), 401),
    "an extra parameter without a name": (added(b"&=1"), 401),
    "an escaped ampersand": (swap(b"&kid", b"&amp;kid"), 401),
    "two equals signs": (swap(b"kid=", b"kid=="), 401),
    "an ampersand in front": (swap(b"?", b"?&"), 401),
    "an override of the answer": (added(b"&response-content-type=text/html"), 401),
    "semicolons": (lambda url: url.target.replace(b"&", b";"), 401),
    "brackets": (swap(b"expires=", b"expires[]="), 401),
    "a name in other case": (swap(b"sig=", b"Sig="), 401),
    "a name after a space": (swap(b"sig=", b"%20sig="), 401),
    "two ampersands": (swap(b"&kid", b"&&kid"), 401),
    "an ampersand at the end": (added(b"&"), 401),
    "a bare question mark": (lambda url: url.target.partition(b"?")[0] + b"?", 401),
    "a second question mark": (swap(b"?", b"??"), 401),
    "a fragment": (added(b"#x"), 401),
    "a value percent-encoded": (swap(b"=csv", b"=%63sv"), 401),
    "a name percent-encoded": (swap(b"sig=", b"s%69g="), 401),
    "all names percent-encoded": (
        lambda url: url.target.replace(b"format", b"forma%74").replace(b"expires", b"expire%73")
        .replace(b"kid", b"ki%64").replace(b"sig", b"si%67"), 401
    ),
    "parameters reordered": (
        lambda url: url.target.partition(b"?")[0] + b"?" + b"&".join(url.target.partition(b"?")[2].split(b"&")[::-1]),
        200,
    ),
    # The path.
    "a character percent-encoded": (swap(b"/people/", b"/%70eople/"), 401),
    "a digit of the id percent-encoded": (export_id(lambda old: b"%%%02X" % old[0] + old[1:]), 401),
    "a slash percent-encoded": (swap(b"/people/", b"/people%2F"), 401),
    "a workflow with a slash": (swap(b"/people/", b"/x%2Fpeople/"), 401),
    "dots": (swap(b"/people/", b"/x/../people/"), 401),
    "dots percent-encoded": (swap(b"/people/", b"/x/%2e%2e/people/"), 401),
    "a dot": (swap(b"/people/", b"/./people/"), 401),
    "a doubled slash": (swap(b"/exports/", b"/exports//"), 401),
    "a doubled slash in front": (lambda url: b"/" + url.target, 401),
    "a trailing slash": (after_path(b"/"), 401),
    "a parameter of the path": (after_path(b";x=1"), 401),
    "NUL after the path": (after_path(b"%00"), 401),
    "a newline after the path": (after_path(b"%0A"), 401),
    "a space after the path": (after_path(b"%20"), 401),
    "an upper-case UUID": (export_id(bytes.upper), 401),
    "a UUID in braces": (export_id(lambda old: b"{" + old + b"}"), 401),
    "a UUID in encoded braces": (export_id(lambda old: b"%7B" + old + b"%7D"), 401),
    "a UUID without hyphens": (export_id(lambda old: old.replace(b"-", b"")), 401),
    "a UUID as a URN": (export_id(lambda old: b"urn:uuid:" + old), 401),
    "a workflow that is too long": (swap(b"/people/", b"/" + b"p" * 129 + b"/"), 401),
    "a workflow without a name": (swap(b"/people/", b"//"), 401),
    "a workflow of dots": (swap(b"/people/", b"/%2e%2e/"), 401),
    "a homoglyph": (swap(b"/people/", b"/p%D0%B5ople/"), 401),
    "overlong UTF-8": (swap(b"/people/", b"/people%C0%AF"), 401),
    "a path in other case": (swap(b"/exports/", b"/Exports/"), 401),
    "another version": (swap(b"/v4/", b"/v5/"), 401),
    "a prefix": (lambda url: b"/api" + url.target, 401),
    # Not a valid request line.
    "expires with a raw space": (value(b"expires", lambda old: old + b" "), 400),
    "expires with a raw newline": (value(b"expires", lambda old: old + b"\n"), 400),
    "expires with a raw NUL": (value(b"expires", lambda old: old + b"\0"), 400),
    "expires of raw full-width digits": (
        value(b"expires", lambda old: "".join(chr(0xFEE0 + digit) for digit in old).encode()), 400
    ),
    "sig with a raw byte": (value(b"sig", lambda old: old[:-1] + b"\xe9"), 400),
    "a raw NUL after the path": (after_path(b"\0"), 400),
    "a raw homoglyph": (swap(b"/people/", "/p\u0435ople/".encode()), 400),
    "raw overlong UTF-8": (swap(b"/people/", b"/people\xc0\xaf"), 400),
}  # fmt: skip

TIMES: dict[str, tuple[timedelta, int, str]] = {
    "one second before it expires": (-timedelta(seconds=1), 200, ""),
    "one microsecond before it expires": (-timedelta(microseconds=1), 200, ""),
    "when it expires": (timedelta(0), 401, "url_expired"),
    "one second after it expired": (timedelta(seconds=1), 401, "url_expired"),
    "a year after it expired": (timedelta(days=365), 401, "url_expired"),
    "a minute before it was signed": (-TTL - timedelta(minutes=1), 200, ""),
    "more than a minute before it was signed": (-TTL - timedelta(minutes=2), 401, "clock_skew"),
}
"""Offset of the service's clock from the expiry, the status, and the code of the body."""

REQUESTS: dict[str, tuple[bytes, bytes, int]] = {
    "GET": (b"GET", b"", 200),
    "HEAD": (b"HEAD", b"", 200),
    "another team's key": (b"GET", b"x-api-key: test-key-of-rival\r\n", 200),
    "another team's token": (b"GET", b"authorization: Bearer RIVALS\r\n", 200),
    "a wrong key": (b"GET", b"x-api-key: wrong\r\n", 200),
    "a wrong token": (b"GET", b"authorization: Bearer x.y.z\r\n", 200),
    "two keys": (b"GET", b"x-api-key: a\r\nx-api-key: b\r\n", 200),
    **{method.decode(): (method, b"", 405) for method in (b"POST", b"PUT", b"PATCH", b"DELETE", b"TRACE", b"BREW")},
    **{
        f"{name.decode()}: DELETE": (b"GET", name + b": DELETE\r\n", 200)
        for name in (b"x-http-method-override", b"x-method-override", b"x-http-method")
    },
    "POST that would be a GET": (b"POST", b"x-http-method-override: GET\r\n", 405),
    "another host": (b"GET", b"x-forwarded-host: exports.example\r\nx-forwarded-proto: https\r\n", 200),
    "another path": (b"GET", b"x-original-url: /healthz\r\nx-rewrite-url: /healthz\r\n", 200),
    "the first byte": (b"GET", b"range: bytes=0-0\r\n", 206),
    "a suffix": (b"GET", b"range: bytes=-4\r\n", 206),
    "a range beyond the end": (b"GET", b"range: bytes=999999999-\r\n", 416),
    "several ranges": (b"GET", b"range: bytes=0-0,2-3\r\n", 200),
    "a range of a HEAD": (b"HEAD", b"range: bytes=0-0\r\n", 200),
}
"""The unaltered URL in various requests: method, headers and status."""
