# Verifying electronic seals (GB/T 38540-2020) with OpenSSL 3 and POSIX tools alone. Each function fails when its artefact
# does not hold. The test beside this file runs them.
set -eu

# The default user id of SM2 signatures.
id=distid:1234567812345678

# part FILE DEPTH TYPE: the first value of a type at a depth of the DER: a SEQUENCE whole, of strings the content
part() {
    test -e "$1.list" || openssl asn1parse -inform DER -in "$1" >"$1.list"
    offset=$(awk -F: -v depth="d=$2 " -v type="$3" 'index($2, depth) == 1 && index($0, type) { print $1 + 0; exit }' "$1.list")
    openssl asn1parse -inform DER -in "$1" -strparse "$offset" -noout -out "$1.part"
    cat "$1.part"
}

# verify_der FILE: {what was signed, certificate, algorithm, signature}, the shape of SESeal and of SES_Signature alike
verify_der() {
    part "$1" 1 SEQUENCE >"$1.signed"
    part "$1" 1 "OCTET STRING" >"$1.cer"
    part "$1" 1 "BIT STRING" >"$1.sig"
    openssl x509 -inform DER -in "$1.cer" -noout -pubkey >"$1.pub"
    openssl dgst -sm3 -verify "$1.pub" -sigopt "$id" -signature "$1.sig" "$1.signed"
}

# verify_seal Seal.esl: the maker made this seal
verify_seal() { verify_der "$1"; }

# verify_sealed SignedValue.dat SIGNATURE_XML: the signer signed this Signature.xml with a seal that its maker made
verify_sealed() {
    verify_der "$1"
    part "$1.signed" 1 SEQUENCE >"$1.esl"
    verify_seal "$1.esl"
    part "$1.signed" 1 "BIT STRING" >"$1.hash"
    test "$(od -An -v -tx1 "$1.hash" | tr -d ' \n')" = "$(openssl dgst -sm3 -binary "$2" | od -An -v -tx1 | tr -d ' \n')"
}
