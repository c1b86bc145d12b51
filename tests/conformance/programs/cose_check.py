"""Checks a COSE receipt with scitt-cose, which knows nothing of this project; run by .conformance/scitt.

    python cose_check.py RECEIPT ENTRY PUBLIC        ENTRY and the Ed25519 PUBLIC key in hex

Prints what the receipt says as JSON; ends with 1 and the reasons when it does not hold.
"""

import json
import sys
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from scitt_cose.receipt import verify_receipt


def main() -> int:
    file, entry, public = sys.argv[1:]
    key = Ed25519PublicKey.from_public_bytes(bytes.fromhex(public))
    pem = key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    found = verify_receipt(Path(file).read_bytes(), leaf_entry_hex=entry, log_public_key_pem=pem)
    said = {"index": found.leaf_index, "size": found.tree_size, "root": found.root}
    print(json.dumps({**said, "issuer": found.issuer, "subject": found.subject, "errors": found.errors}))
    return 0 if found.ok else 1


sys.exit(main())
