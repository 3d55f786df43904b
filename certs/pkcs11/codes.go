package pkcs11

import (
	"errors"
	"fmt"
	"slices"
)

// function is the place of a function in CK_FUNCTION_LIST (PKCS#11 2.40 base specification, pkcs11f.h).
type function int

const (
	fnInitialize        function = 0
	fnFinalize          function = 1
	fnGetSlotList       function = 4
	fnGetTokenInfo      function = 6
	fnOpenSession       function = 12
	fnCloseSession      function = 13
	fnLogin             function = 18
	fnGetAttributeValue function = 24
	fnFindObjectsInit   function = 26
	fnFindObjects       function = 27
	fnFindObjectsFinal  function = 28
	fnSignInit          function = 42
	fnSign              function = 43
	functions                    = 68
)

var functionNames = map[function]string{
	fnInitialize: "C_Initialize", fnFinalize: "C_Finalize", fnGetSlotList: "C_GetSlotList", fnGetTokenInfo: "C_GetTokenInfo",
	fnOpenSession: "C_OpenSession", fnCloseSession: "C_CloseSession", fnLogin: "C_Login", fnGetAttributeValue: "C_GetAttributeValue",
	fnFindObjectsInit: "C_FindObjectsInit", fnFindObjects: "C_FindObjects", fnFindObjectsFinal: "C_FindObjectsFinal",
	fnSignInit: "C_SignInit", fnSign: "C_Sign",
}

// Return values that this package looks at.
const (
	rvOK                          = 0x0
	rvGeneralError                = 0x5
	rvCantLock                    = 0xa
	rvDeviceError                 = 0x30
	rvDeviceRemoved               = 0x32
	rvFunctionCanceled            = 0x50
	rvFunctionNotSupported        = 0x54
	rvKeyHandleInvalid            = 0x60
	rvMechanismInvalid            = 0x70
	rvObjectHandleInvalid         = 0x82
	rvOperationActive             = 0x90
	rvPINIncorrect                = 0xa0
	rvPINInvalid                  = 0xa1
	rvPINLenRange                 = 0xa2
	rvPINExpired                  = 0xa3
	rvPINLocked                   = 0xa4
	rvSessionClosed               = 0xb0
	rvSessionHandleInvalid        = 0xb3
	rvTokenNotPresent             = 0xe0
	rvTokenNotRecognized          = 0xe1
	rvUserAlreadyLoggedIn         = 0x100
	rvUserNotLoggedIn             = 0x101
	rvCryptokiNotInit             = 0x190
	rvCryptokiAlreadyInit         = 0x191
	flagOSLocking                 = 2
	flagSerialSession             = 4
	userTypeUser                  = 1
	attrClass                     = 0x0
	attrLabel                     = 0x3
	attrKeyType                   = 0x100
	attrID                        = 0x102
	attrModulus                   = 0x120
	attrPublicExponent            = 0x122
	attrECPoint                   = 0x181
	classPublicKey                = 2
	classPrivateKey               = 3
	keyTypeRSA                    = 0
	keyTypeEC                     = 3
	mechanismRSAPKCS              = 0x1
	mechanismRSAPSS               = 0xd
	mechanismECDSA                = 0x1041
	mechanismSHA256               = 0x250
	mechanismSHA384               = 0x260
	mechanismSHA512               = 0x270
	mgf1SHA256                    = 2
	mgf1SHA384                    = 3
	mgf1SHA512                    = 4
	maxSlots                      = 256
	maxAttribute                  = 64 << 10 // the longest attribute read: a certificate is a few kilobytes
	maxSignature                  = 1024     // RSA with 8192 bits
	invalidHandle          uint64 = 0
)

var valueNames = map[uint64]string{
	rvGeneralError: "CKR_GENERAL_ERROR", rvCantLock: "CKR_CANT_LOCK", rvDeviceError: "CKR_DEVICE_ERROR", rvDeviceRemoved: "CKR_DEVICE_REMOVED",
	rvFunctionCanceled: "CKR_FUNCTION_CANCELED", rvFunctionNotSupported: "CKR_FUNCTION_NOT_SUPPORTED", rvKeyHandleInvalid: "CKR_KEY_HANDLE_INVALID",
	rvMechanismInvalid: "CKR_MECHANISM_INVALID", rvObjectHandleInvalid: "CKR_OBJECT_HANDLE_INVALID", rvOperationActive: "CKR_OPERATION_ACTIVE",
	rvPINIncorrect: "CKR_PIN_INCORRECT", rvPINInvalid: "CKR_PIN_INVALID", rvPINLenRange: "CKR_PIN_LEN_RANGE", rvPINExpired: "CKR_PIN_EXPIRED",
	rvPINLocked: "CKR_PIN_LOCKED", rvSessionClosed: "CKR_SESSION_CLOSED", rvSessionHandleInvalid: "CKR_SESSION_HANDLE_INVALID",
	rvTokenNotPresent: "CKR_TOKEN_NOT_PRESENT", rvTokenNotRecognized: "CKR_TOKEN_NOT_RECOGNIZED", rvUserNotLoggedIn: "CKR_USER_NOT_LOGGED_IN",
	rvCryptokiNotInit: "CKR_CRYPTOKI_NOT_INITIALIZED", rvCryptokiAlreadyInit: "CKR_CRYPTOKI_ALREADY_INITIALIZED",
}

var (
	// ErrPIN says that the token refused the PIN, or that it was refused before and is still the same: it is not tried again.
	ErrPIN = errors.New("the token refuses the pin")
	// ErrBusy says that no session became free, or the device did not answer, within the wait.
	ErrBusy = errors.New("the device did not answer in time")
	// ErrUnusable says that what the device gave back is not what was asked for: a signature that does not verify, a public key
	// that is none, an attribute of impossible size.
	ErrUnusable = errors.New("the device gave back something unusable")
	// ErrAmbiguous says that several tokens or keys fit the description.
	ErrAmbiguous = errors.New("more than one fits")
	// ErrClosed says that the token was closed.
	ErrClosed = errors.New("the token is closed")
)

// Error is a return value (CKR) of the module.
type Error struct {
	Function string
	Value    uint64
}

func (e *Error) Error() string {
	if name := valueNames[e.Value]; name != "" {
		return e.Function + ": " + name
	}
	return fmt.Sprintf("%s: return value %#x", e.Function, e.Value)
}

// Is makes refusals of the PIN ErrPIN.
func (e *Error) Is(target error) bool {
	return target == ErrPIN && slices.Contains([]uint64{rvPINIncorrect, rvPINInvalid, rvPINLenRange, rvPINExpired, rvPINLocked}, e.Value)
}

// lost reports whether err means that the session is gone, or its login, or the handles it knew: a new one may work.
func lost(err error) bool {
	e, ok := errors.AsType[*Error](err)
	return ok && slices.Contains([]uint64{
		rvDeviceError, rvDeviceRemoved, rvFunctionCanceled, rvKeyHandleInvalid, rvObjectHandleInvalid, rvOperationActive, rvSessionClosed,
		rvSessionHandleInvalid, rvTokenNotPresent, rvTokenNotRecognized, rvUserNotLoggedIn,
	}, e.Value)
}
