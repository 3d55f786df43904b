package session

import (
	"context"
	"fmt"
	"runtime/debug"
	"time"

	"github.com/alexedwards/argon2id"
	"github.com/go-json-experiment/json"
	"github.com/pquerna/otp"
	"github.com/pquerna/otp/totp"

	"oncegate/certs/sm"
)

// Sealed is the file of the accounts.
func (a *Accounts) Sealed(s Sealer) ([]byte, error) {
	content, err := json.Marshal(a.List(), json.Deterministic(true))
	if err != nil {
		return nil, fmt.Errorf("encode accounts: %w", err)
	}
	sealed, err := s.Seal(content, []byte(accountsHeader))
	if err != nil {
		return nil, fmt.Errorf("seal accounts: %w", err)
	}
	return []byte(accountsHeader + sm.B64(sealed) + "\n"), nil
}

// Cost of new passwords (OWASP's least for argon2id: 19 MiB, two passes), and what is accepted in stored ones.
var passwordCost = &argon2id.Params{Memory: 19 << 10, Iterations: 2, Parallelism: 1, SaltLength: 16, KeyLength: 32}

const (
	mostMemory     = 64 << 10 // KiB
	mostIterations = 10
)

func usableHash(hash string) bool {
	p, salt, key, err := argon2id.DecodeHash(hash)
	return err == nil && p.Memory >= 19<<10 && p.Memory <= mostMemory && p.Iterations >= 1 && p.Iterations <= mostIterations && p.Parallelism == 1 && len(salt) >= 16 && len(key) >= 32
}

// HashPassword hashes a new password: argon2id in PHC string format. Passwords have at least 12 characters and at most 256 bytes.
func HashPassword(password string) (string, error) {
	if n := len([]rune(password)); n < minPassword || len(password) > maxPassword {
		return "", fmt.Errorf("a password has at least %d characters and at most %d bytes", minPassword, maxPassword)
	}
	defer debug.FreeOSMemory() // 19 MiB that nobody needs again
	return argon2id.CreateHash(password, passwordCost)
}

// NewSecret makes a second factor (TOTP: SHA-1, six digits, 30 seconds, as all authenticators have it). uri is what an authenticator scans.
func NewSecret(issuer, account string) (secret, uri string, err error) {
	key, err := totp.Generate(totp.GenerateOpts{Issuer: issuer, AccountName: account, SecretSize: 20})
	if err != nil {
		return "", "", fmt.Errorf("make second factor: %w", err)
	}
	return key.Secret(), key.URL(), nil
}

const (
	codePeriod = 30 // seconds, RFC 6238
	codeSkew   = 1  // steps before and after
)

var codeOptions = totp.ValidateOpts{Period: codePeriod, Digits: otp.DigitsSix, Algorithm: otp.AlgorithmSHA1}

// codeStep returns the time step of a code of the second factor; false if it is none of now, the step before or the step after.
func codeStep(secret, code string, now time.Time) (step int64, ok bool) {
	for _, delta := range []int64{0, -1, 1} {
		at := now.Add(time.Duration(delta) * codePeriod * time.Second)
		if valid, err := totp.ValidateCustom(code, secret, at, codeOptions); err == nil && valid {
			return at.Unix() / codePeriod, true
		}
	}
	return 0, false
}

// CodeAt is the code of a second factor at a time: for demonstrations and tests.
func CodeAt(secret string, at time.Time) (string, error) {
	return totp.GenerateCodeCustom(secret, at, codeOptions)
}

// nobody is compared where there is no such account, so that its absence takes as long as a wrong password (timing side channel). Nothing has
// this hash.
const nobody = "$argon2id$v=19$m=19456,t=2,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"

// verifyLocal proves a local account: the password, and a code of its second factor that was not used before. Whatever is wrong of the two
// and of the id, the error is CodeWrong; CodeBusy if the password's turn to be hashed did not come. known says that somebody signed in from the
// browser or the address, from, before.
func (g *Gate) verifyLocal(ctx context.Context, from string, known bool, id, password, code string) (Account, error) {
	account, exists := g.Current().Accounts.Find(id)
	hash := nobody
	if exists {
		hash = account.Password
	}
	match, served := g.hashing.match(ctx, from, known, password, hash)
	if !served {
		return Account{}, &Refusal{Code: CodeBusy, Status: 503}
	}
	if !exists || !match || account.Disabled {
		return Account{}, &Refusal{Code: CodeWrong, Status: 403}
	}
	return account, g.verifyCode(ctx, account, code)
}

// verifyCode proves the second factor of an account.
func (g *Gate) verifyCode(ctx context.Context, account Account, code string) error {
	if account.Secret == "" {
		if g.Secure { // an account that was made on loopback
			return &Refusal{Code: CodeWrong, Status: 403}
		}
		return nil
	}
	now := g.Now()
	step, ok := codeStep(account.Secret, code, now)
	if !ok {
		return &Refusal{Code: CodeWrong, Status: 403}
	}
	first, err := g.Storage.Claim(ctx, digest("account", account.ID), digest("code", fmt.Sprint(step)), now.Add(10*time.Minute))
	switch {
	case err != nil:
		return err
	case !first:
		return &Refusal{Code: CodeUsed, Status: 403}
	}
	return nil
}
