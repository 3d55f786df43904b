# Verifying Oncegate's artefacts with OpenSSL 3 and POSIX tools alone. Each function fails when its artefact does not
# hold. docs/verify.md shows these commands; the test beside this file runs them.
set -eu

# The default user id of SM2 signatures.
id=distid:1234567812345678

# b64url: base64url without padding on stdin -> bytes
b64url() {
    tr -d '\n' | tr '_-' '/+' | awk '{ while (length($0) % 4) $0 = $0 "="; print }' | openssl base64 -d -A
}

# rs2der FILE: a signature r||s (64 bytes) -> DER on stdout
rs2der() {
    test "$(wc -c <"$1")" -eq 64
    r=$(od -An -v -tx1 -N32 "$1" | tr -d ' \n')
    s=$(od -An -v -tx1 -j32 "$1" | tr -d ' \n')
    printf 'asn1=SEQUENCE:rs\n[rs]\nr=INTEGER:0x%s\ns=INTEGER:0x%s\n' "$r" "$s" >"$1.cnf"
    openssl asn1parse -genconf "$1.cnf" -noout -out "$1.der"
    cat "$1.der"
}

# verify_raw PUBKEY.pem MESSAGE SIGNATURE: r||s over a file
verify_raw() {
    rs2der "$3" >"$3.sig"
    openssl dgst -sm3 -verify "$1" -sigopt "$id" -signature "$3.sig" "$2"
}

# verify_jws PUBKEY.pem TOKEN: a request token, or any compact JWS with alg SM2SM3
verify_jws() {
    tr -d '\n' <"$2" | cut -d. -f1,2 | tr -d '\n' >"$2.input"
    tr -d '\n' <"$2" | cut -d. -f3 | b64url >"$2.rs"
    verify_raw "$1" "$2.input" "$2.rs"
}

# verify_body TOKEN BODY: the body is the one that the token names
verify_body() {
    want=$(cut -d. -f2 "$1" | b64url | sed 's/.*"sm3":"\([^"]*\)".*/\1/')
    have=$(openssl dgst -sm3 -binary "$2" | openssl base64 -A | tr '+/' '-_' | tr -d '=')
    test "$want" = "$have"
}

# verify_license CERT.pem LICENSE: the issuer's signature of an SD-JWT
verify_license() {
    openssl x509 -in "$1" -noout -pubkey >"$2.pub"
    cut -d'~' -f1 "$2" >"$2.jwt"
    verify_jws "$2.pub" "$2.jwt"
}

# verify_disclosures LICENSE: every disclosure's digest stands in the signed payload
verify_disclosures() {
    payload=$(cut -d'~' -f1 "$1" | cut -d. -f2 | b64url)
    tr -d '\n' <"$1" | cut -d'~' -f2- | tr '~' '\n' | sed '/^$/d' | while read -r d; do
        digest=$(printf '%s' "$d" | openssl dgst -sm3 -binary | openssl base64 -A | tr '+/' '-_' | tr -d '=')
        case $payload in *"\"$digest\""*) ;; *) exit 1 ;; esac
    done
}

# verify_chain ROOT.pem INTERMEDIATE.pem LEAF.pem [OPTION...]: a certificate chain, link by link, because OpenSSL 3.0 hands
# the user id to the certificate in question only, not to those above it
verify_chain() {
    root=$1 between=$2 leaf=$3
    shift 3
    openssl verify -x509_strict -CAfile "$root" -vfyopt "$id" "$@" "$between"
    openssl verify -x509_strict -partial_chain -trusted "$between" -vfyopt "$id" "$@" "$leaf"
}

# note_text CHECKPOINT: what is signed, and note_sig CHECKPOINT KEYID: the signature of the key with that id (hex)
note_text() { sed '/^$/,$d' "$1"; }
note_sig() {
    sed '1,/^$/d' "$1" | awk '{ print $3 }' | while read -r line; do
        printf '%s' "$line" | openssl base64 -d -A >"$1.line"
        if test "$(od -An -v -tx1 -N4 "$1.line" | tr -d ' \n')" = "$2"; then tail -c +5 "$1.line"; fi
    done
}

# verify_checkpoint_sm2 PUBKEY.pem CHECKPOINT
verify_checkpoint_sm2() {
    key=$({ head -n 1 "$2"; printf '\377oncegate/sm2-sm3/v1'; openssl pkey -pubin -in "$1" -outform DER | tail -c 65; } |
        openssl dgst -sha256 -binary | od -An -v -tx1 -N4 | tr -d ' \n')
    note_text "$2" >"$2.text"
    note_sig "$2" "$key" >"$2.rs"
    verify_raw "$1" "$2.text" "$2.rs"
}

# verify_checkpoint_ed25519 VKEY CHECKPOINT: VKEY is a file with the C2SP line name+id+key
verify_checkpoint_ed25519() {
    key=$(sed 's/^[^+]*+\([0-9a-f]*\)+.*/\1/' "$1")
    {
        printf '\060\052\060\005\006\003\053\145\160\003\041\000' # SPKI of Ed25519, RFC 8410
        sed 's/^[^+]*+[0-9a-f]*+//' "$1" | tr -d '\n' | openssl base64 -d -A | tail -c 32
    } | openssl pkey -pubin -inform DER -out "$2.ed.pem"
    note_text "$2" >"$2.text"
    note_sig "$2" "$key" >"$2.ed"
    openssl pkeyutl -verify -pubin -inkey "$2.ed.pem" -rawin -in "$2.text" -sigfile "$2.ed"
}
