package cases

import "errors"

// Why a change is refused at commit.
var (
	// ErrRegistered says that the number or id is taken by something else.
	ErrRegistered = errors.New("the number is registered with other content")
	// ErrChanged says that the case or consent changed since it was read.
	ErrChanged = errors.New("the case or consent changed meanwhile")
)
