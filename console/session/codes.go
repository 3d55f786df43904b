package session

import "fmt"

// Codes of what the Gate refuses. They are stable; Sentence has their texts.
const (
	CodeWrong     = "sign-in-wrong"      // account, password or code is wrong
	CodeUsed      = "code-used"          // the code of the second factor was used before
	CodeSlow      = "too-many-tries"     // try again later
	CodeBusy      = "busy"               // too many sign-ins at once
	CodeForm      = "form-token"         // the form is not of this session, or is too old
	CodeOrigin    = "cross-origin"       // the request comes from another site
	CodeLarge     = "form-too-large"     //
	CodeNoRole    = "not-for-role"       // the route is for other roles
	CodeNotFound  = "page-not-found"     //
	CodeEnded     = "session-ended"      //
	CodeLocked    = "session-locked"     //
	CodeFresh     = "second-factor-due"  // the page wants the second factor again
	CodeOther     = "other-person"       // another person's session cannot be opened
	CodeNoPlace   = "no-place"           // the person has no role in that hall
	CodeConflict  = "roles-conflict"     // the person has roles that nobody may have at once
	CodeAltered   = "session-altered"    // the session's row was altered, or put back
	CodeStorage   = "sign-in-unrecorded" // the database did not answer
	CodeCancelled = "sign-in-cancelled"  // the provider says that the person did not sign in
)

// A Refusal is why a request to the console is refused. Its Error is for logs: it names nobody.
type Refusal struct {
	Code   string
	Status int // of HTTP
	Cause  error
}

func (r *Refusal) Error() string {
	if r.Cause != nil {
		return fmt.Sprintf("%s: %v", r.Code, r.Cause)
	}
	return r.Code
}

func (r *Refusal) Unwrap() error { return r.Cause }

// sentences are the texts of the codes, Chinese and English: what happened, and what to do.
var sentences = map[string][2]string{
	CodeWrong:             {"账号、密码或动态口令不对，请再核对。", "Account, password or code is wrong. Check them and try again."},
	CodeUsed:              {"这个动态口令已经用过，请等下一个再输。", "This code was used already. Wait for the next one."},
	CodeSlow:              {"尝试次数较多，请稍候再试。账号没有被锁定。", "There were many tries. Wait a moment and try again; the account is not locked."},
	CodeBusy:              {"同时登录的人较多，请再点一次。", "Many people are signing in. Press the button once more."},
	CodeForm:              {"这张表单已失效，请重新打开页面再填。", "This form is not valid any more. Open the page again."},
	CodeOrigin:            {"请求来自其他网站，没有办理。请从本页面操作。", "The request came from another site and was not carried out."},
	CodeLarge:             {"提交的内容过大，没有收下。", "What was sent is too large and was not taken."},
	CodeNoRole:            {"您的岗位不能打开这一页。", "This page is for other roles than yours."},
	CodeNotFound:          {"没有这一页。", "There is no such page."},
	CodeEnded:             {"登录已结束，请重新登录。", "The session has ended. Sign in again."},
	CodeLocked:            {"离开较久，已锁定。输入动态口令继续，已填内容还在。", "The session is locked after a pause. Give the code to go on; what you typed is kept."},
	CodeFresh:             {"查看此内容前，请再验证一次身份。", "Prove once more that it is you before this is shown."},
	CodeOther:             {"这是另一位工作人员的登录。请由本人解锁，或点“换人”。", "This is another person's session. That person unlocks it, or change the person."},
	CodeNoPlace:           {"您在这个大厅没有岗位，请选择其他大厅或联系管理员。", "You have no role in this hall. Choose another one or ask the administrator."},
	CodeConflict:          {"您名下有不能兼任的岗位，不能登录，请联系安全管理员。", "You hold roles that nobody may hold at once. Ask the security officer."},
	CodeAltered:           {"登录信息不可信，请重新登录。", "The session cannot be trusted. Sign in again."},
	CodeStorage:           {"暂时不能登录，请稍后再试。", "Signing in is not possible at the moment. Try again later."},
	CodeProviderDown:      {"身份认证平台暂时没有应答，请稍后再试。", "The identity provider does not answer. Try again later."},
	CodeProviderAnswer:    {"身份认证平台的应答无法识别，请联系运维人员。", "The identity provider's answer cannot be read. Ask the operator."},
	CodeProviderCode:      {"身份认证平台不认可本次登录凭据（可能已用过或过期），请重新登录。", "The identity provider does not take this sign-in's code; it may be used or expired. Sign in again."},
	CodeProviderState:     {"本次登录不是从这个浏览器发起的，或已超过十分钟，请重新登录。", "This sign-in was not begun in this browser, or more than ten minutes ago. Sign in again."},
	CodeProviderReplayed:  {"这个登录链接已经用过，请重新登录。", "This sign-in was completed already. Sign in again."},
	CodeProviderIssuer:    {"登录凭据不是所配置的身份认证平台签发的，没有登录。", "The sign-in is of another issuer than the configured provider."},
	CodeProviderAudience:  {"登录凭据是签发给其他系统的，没有登录。", "The sign-in was issued to another system."},
	CodeProviderNonce:     {"登录凭据属于另一次登录，没有登录。", "The sign-in's token belongs to another sign-in."},
	CodeProviderExpired:   {"登录凭据已过期，请重新登录。", "The sign-in's token has expired. Sign in again."},
	CodeProviderSignature: {"登录凭据的签名不对，没有登录，请联系运维人员。", "The sign-in's token is not signed with the provider's key. Ask the operator."},
	CodeProviderPerson:    {"身份认证平台没有给出人员编号，没有登录，请联系运维人员。", "The identity provider named nobody. Ask the operator."},
	CodeProviderLevel:     {"本次认证的级别不够，请改用智能密码钥匙等方式登录。", "This means of authentication is not enough. Sign in with a security key, for example."},
	CodeProviderStale:     {"身份认证平台没有重新验证您的身份，没有登录，请联系运维人员。", "The identity provider did not ask for you again. Ask the operator."},
	CodeProviderUnknown:   {"没有配置这个身份认证平台。", "This identity provider is not configured."},
	CodeCancelled:         {"身份认证平台没有完成登录，请再试一次。", "The identity provider did not complete the sign-in. Try again."},
}

// Sentence is the text of a code, in Chinese or English; the code itself where it has none.
func Sentence(code, language string) string {
	texts, ok := sentences[code]
	switch {
	case !ok:
		return code
	case language == "en":
		return texts[1]
	}
	return texts[0]
}
