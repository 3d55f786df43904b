package license

import (
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode"
	"unicode/utf8"
)

// Check rules that a CodeType or a field can name.
const (
	GB32100 = "gb32100" // 统一社会信用代码 (USCC)
	GB11643 = "gb11643" // 公民身份号码
)

const (
	alphabet36   = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
	alphabetUSCC = "0123456789ABCDEFGHJKLMNPQRTUWXY" // no I O S V Z
	checksGB111  = "10X98765432"                     // GB 11643 check characters by remainder

	maxFreeCode = 64 // characters of a code that has no check rule
)

// CheckCode checks a code by a rule: GB32100, GB11643, or "" where no check is known and only the form is looked at.
// The error wraps a Reason.
func CheckCode(rule, code string) error {
	switch rule {
	case GB32100:
		return CheckUSCC(code)
	case GB11643:
		return CheckResidentID(code)
	case "":
		return checkFreeCode(code)
	}
	return UnknownRule
}

// checkFreeCode accepts what passports and military papers carry, Chinese characters among them, but no spaces.
func checkFreeCode(code string) error {
	if code == "" || utf8.RuneCountInString(code) > maxFreeCode {
		return WrongLength
	}
	if !utf8.ValidString(code) {
		return WrongText
	}
	for _, r := range code {
		if r == utf8.RuneError || unicode.IsSpace(r) || !unicode.IsPrint(r) || unicode.IsLower(r) {
			return WrongAlphabet
		}
	}
	return nil
}

// CheckUSCC checks a 统一社会信用代码 (GB 32100): 18 characters, their alphabet and the check character.
func CheckUSCC(code string) error {
	if len(code) != 18 {
		return WrongLength
	}
	check, err := usccCheck(code[:17])
	if err != nil {
		return err
	}
	if strings.IndexByte(alphabetUSCC, code[17]) < 0 {
		return WrongAlphabet
	}
	if code[17] != check {
		return WrongCheck
	}
	return nil
}

// MakeUSCC appends the check character of GB 32100 to the first 17 characters.
func MakeUSCC(first17 string) (string, error) {
	if len(first17) != 17 {
		return "", WrongLength
	}
	check, err := usccCheck(first17)
	if err != nil {
		return "", err
	}
	return first17 + string(check), nil
}

// usccCheck weighs the characters by 3^i mod 31.
func usccCheck(first17 string) (byte, error) {
	sum, weight := 0, 1
	for i := range len(first17) {
		value := strings.IndexByte(alphabetUSCC, first17[i])
		if value < 0 {
			return 0, WrongAlphabet
		}
		sum += value * weight
		weight = weight * 3 % 31
	}
	return alphabetUSCC[(31-sum%31)%31], nil
}

// CheckInnerCode checks the organisation code (GB 11714) that stands in characters 9 to 17 of a USCC. Real stock breaks
// this rule, so what it finds is a flag, never a refusal.
func CheckInnerCode(uscc string) error {
	if len(uscc) != 18 {
		return WrongLength
	}
	sum := 0
	for i, weight := range [8]int{3, 7, 9, 10, 5, 8, 4, 2} {
		value := strings.IndexByte(alphabet36, uscc[8+i])
		if value < 0 {
			return WrongAlphabet
		}
		sum += value * weight
	}
	if "0X987654321"[sum%11] != uscc[16] {
		return WrongInner
	}
	return nil
}

// CheckResidentID checks a 公民身份号码 (GB 11643): 18 characters, a plausible region, a real date of birth and the check
// character (upper-case X).
func CheckResidentID(code string) error {
	if len(code) != 18 {
		return WrongLength
	}
	check, err := residentCheck(code[:17])
	if err != nil {
		return err
	}
	if code[17] != 'X' && (code[17] < '0' || code[17] > '9') {
		return WrongAlphabet
	}
	if !plausibleRegion(code[:6]) {
		return WrongRegion
	}
	if !Date(code[6:10] + "-" + code[10:12] + "-" + code[12:14]).real() {
		return WrongDate
	}
	if code[17] != check {
		return WrongCheck
	}
	return nil
}

// MakeResidentID appends the check character of GB 11643 to the first 17 digits. It makes synthetic people for tests
// and demonstrations; region and date are checked too.
func MakeResidentID(first17 string) (string, error) {
	if len(first17) != 17 {
		return "", WrongLength
	}
	check, err := residentCheck(first17)
	if err != nil {
		return "", err
	}
	code := first17 + string(check)
	return code, CheckResidentID(code)
}

// residentCheck is ISO 7064 MOD 11-2: the weights are 2^(17-i) mod 11.
func residentCheck(first17 string) (byte, error) {
	sum := 0
	for i, weight := range [17]int{7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2} {
		if first17[i] < '0' || first17[i] > '9' {
			return 0, WrongAlphabet
		}
		sum += int(first17[i]-'0') * weight
	}
	return checksGB111[sum%11], nil
}

// plausibleRegion knows the provinces of GB/T 2260; counties come and go, so the rest only must not be empty.
func plausibleRegion(region string) bool {
	const provinces = " 11 12 13 14 15 21 22 23 31 32 33 34 35 36 37 41 42 43 44 45 46 50 51 52 53 54 61 62 63 64 65 71 81 82 83 "
	return strings.Contains(provinces, " "+region[:2]+" ") && region[2:] != "0000"
}

// CheckFoodNumber checks a food license number (食品经营许可证编号): JY or SC, 13 digits and a check digit by MOD 11,10
// (GB/T 17710). The rule is not confirmed in the purchased text, so what it finds is a flag, never a refusal.
func CheckFoodNumber(number string) error {
	if len(number) != 16 {
		return WrongLength
	}
	if number[:2] != "JY" && number[:2] != "SC" {
		return WrongForm
	}
	p := 10
	for _, ch := range []byte(number[2:15]) {
		if ch < '0' || ch > '9' {
			return WrongAlphabet
		}
		p = hybrid(p, int(ch-'0'), 10)
	}
	if number[15] != byte('0'+(11-p)%10) {
		return WrongCheck
	}
	return nil
}

// hybrid is one step of an ISO/IEC 7064 hybrid system MOD m+1,m.
func hybrid(p, value, m int) int {
	p = (p + value) % m
	if p == 0 {
		p = m
	}
	return p * 2 % (m + 1)
}

// Normal returns the holder with its code in the one form that compares: without spaces, upper case, full-width letters
// and digits made plain.
func (h HolderID) Normal() HolderID {
	return HolderID{Type: strings.TrimSpace(h.Type), Code: NormalCode(h.Code)}
}

// NormalCode drops spaces, raises letters and makes full-width letters and digits plain. It never touches a check
// character otherwise.
func NormalCode(code string) string {
	return strings.Map(func(r rune) rune {
		if r >= '！' && r <= '～' {
			r -= '！' - '!'
		}
		if unicode.IsSpace(r) {
			return -1
		}
		if r >= 'a' && r <= 'z' {
			r -= 'a' - 'A'
		}
		return r
	}, code)
}

// Unlimited is how GB/T 36903 writes an end of validity that never comes.
const Unlimited = "长期"

// Layouts of ParseDate that are no pattern.
const (
	UnixSeconds = "unix-s"  // seconds since 1970
	UnixMillis  = "unix-ms" // milliseconds since 1970
)

const (
	dateLayout = "2006-01-02"
	firstYear  = 1800 // an earlier day in a register is a placeholder, not a fact
	lastYear   = 9999
)

var shanghai = sync.OnceValue(func() *time.Location {
	if place, err := time.LoadLocation("Asia/Shanghai"); err == nil {
		return place
	}
	return time.FixedZone("Asia/Shanghai", 8*60*60)
})

// Shanghai is the time zone of every legal day here. Where no time zone data are at hand it is a fixed UTC+8.
func Shanghai() *time.Location { return shanghai() }

// ParseDate reads a day written as yyyy-mm-dd or yyyyMMdd, or in one of the layouts given (patterns of package time,
// UnixSeconds or UnixMillis). A moment with a zone becomes its day in Shanghai. Days that do not exist, and years before
// 1800, are refused with an error that wraps WrongDate.
func ParseDate(text string, layouts ...string) (Date, error) {
	for _, layout := range append([]string{dateLayout, "20060102"}, layouts...) {
		day, err := parseDay(text, layout)
		if err == nil && day.Year() >= firstYear && day.Year() <= lastYear {
			return Date(day.Format(dateLayout)), nil
		}
	}
	return "", fmt.Errorf("read date: %w", WrongDate)
}

// parseDay returns a time whose own clock shows the day. A text without a zone is never moved through one: there are
// days whose midnight the clocks of Shanghai skipped.
func parseDay(text, layout string) (time.Time, error) {
	switch layout {
	case UnixSeconds, UnixMillis:
		number, err := strconv.ParseInt(text, 10, 64)
		if layout == UnixMillis {
			return time.UnixMilli(number).In(Shanghai()), err
		}
		return time.Unix(number, 0).In(Shanghai()), err
	}
	written, err := time.Parse(layout, text)
	if err != nil {
		return time.Time{}, err
	}
	// Read in another zone it is the same moment only if the text names its zone itself.
	if there, err := time.ParseInLocation(layout, text, Shanghai()); err == nil && there.Equal(written) {
		return written.In(Shanghai()), nil
	}
	return written, nil
}

// ParseEnd reads the end of a validity: as ParseDate, and nothing or 长期 for unlimited, which is the empty Date.
func ParseEnd(text string, layouts ...string) (Date, error) {
	if text == "" || text == Unlimited {
		return "", nil
	}
	return ParseDate(text, layouts...)
}

// DateOf returns the day on which a moment falls in Shanghai.
func DateOf(moment time.Time) Date { return Date(moment.In(Shanghai()).Format(dateLayout)) }

// Check returns an error that wraps WrongDate unless the date is empty or a real day in the one form.
func (d Date) Check() error {
	if d == "" || d.real() {
		return nil
	}
	return fmt.Errorf("read date: %w", WrongDate)
}

// real reads the one form by hand: every date of every record is looked at several times on its way, and package time takes ten
// times as long to read it.
func (d Date) real() bool {
	if len(d) != len(dateLayout) {
		return false
	}
	parts, at := [3]int{}, 0
	for i := range len(dateLayout) {
		switch {
		case dateLayout[i] == '-' && d[i] == '-':
			at++
		case dateLayout[i] == '-' || d[i] < '0' || d[i] > '9':
			return false
		default:
			parts[at] = parts[at]*10 + int(d[i]-'0')
		}
	}
	// A day that does not exist becomes another one.
	year, month, day := time.Date(parts[0], time.Month(parts[1]), parts[2], 0, 0, 0, 0, time.UTC).Date()
	return [3]int{year, int(month), day} == parts && year >= firstYear
}

// Before reports whether d is an earlier day than other. An empty date is neither before nor after.
func (d Date) Before(other Date) bool { return d != "" && other != "" && d < other }

// After reports whether d is a later day than other. An empty date is neither before nor after.
func (d Date) After(other Date) bool { return other.Before(d) }

// Start returns the first moment of the day in Shanghai.
func (d Date) Start() (time.Time, error) {
	if err := d.Check(); err != nil || d == "" {
		return time.Time{}, fmt.Errorf("read date: %w", WrongDate)
	}
	return time.ParseInLocation(dateLayout, string(d), Shanghai())
}

// End returns the first moment after the day in Shanghai. Every real day has one, 9999-12-31 too, though no Date follows it.
func (d Date) End() (time.Time, error) {
	day, err := time.Parse(dateLayout, string(d))
	if err != nil || !d.real() {
		return time.Time{}, fmt.Errorf("read date: %w", WrongDate)
	}
	return time.Date(day.Year(), day.Month(), day.Day()+1, 0, 0, 0, 0, Shanghai()), nil
}

// AddDays returns the day n calendar days later (earlier if n is negative). The error wraps WrongDate if there is no Date for it, as
// after 9999-12-31.
func (d Date) AddDays(n int) (Date, error) {
	day, err := time.Parse(dateLayout, string(d))
	if err != nil {
		return "", fmt.Errorf("read date: %w", WrongDate)
	}
	if day = day.AddDate(0, 0, n); day.Year() < firstYear || day.Year() > lastYear {
		return "", fmt.Errorf("read date: %w", WrongDate)
	}
	return Date(day.Format(dateLayout)), nil
}

// StatusAt returns the license's standing on a day: what the source says, except that a license whose validity has
// ended by then is Expired even if the source did not notice. Revoked and Superseded stay what they are. The last day of
// a validity still counts.
func (l License) StatusAt(day Date) Status {
	ended := l.ValidTo.Before(day)
	if ended && (l.Status == Valid || l.Status == Suspended) {
		return Expired
	}
	return l.Status
}

// Begun reports whether the validity has begun on a day; a license that states no beginning has.
func (l License) Begun(day Date) bool { return !l.ValidFrom.After(day) }

// InForce reports whether the license can be relied upon on a day.
func (l License) InForce(day Date) bool { return l.Begun(day) && l.StatusAt(day) == Valid }
