package demo

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"oncegate/config"
	"oncegate/demo/legacy"
	"oncegate/deploy"
	"oncegate/license"
)

// cityConfig is the gateway's configuration folder after it was adapted to this machine and date.
type cityConfig struct {
	dir                    string
	police, civil          string // host:port in the configuration
	policeToken, civilCode string
	stamping               string // host:port of the time-stamping authority
	identity               string // host:port of the holders' identity provider
	citizenSecret          string // what it knows the console by
}

// configure writes the sample configuration into a folder, unless it is there, and adapts it: secrets for the legacy systems, free
// ports, and a calendar that covers this year and the next.
func configure(dir string, now time.Time) (*cityConfig, error) {
	if _, err := os.Stat(filepath.Join(dir, config.MainFile)); errors.Is(err, fs.ErrNotExist) {
		if err := deploy.WriteCity(dir); err != nil {
			return nil, err
		}
	}
	s := &cityConfig{dir: dir}
	var err error
	if s.policeToken, err = secretIn(filepath.Join(dir, "secrets", "police.token")); err != nil {
		return nil, err
	}
	if s.civilCode, err = secretIn(filepath.Join(dir, "secrets", "civil.appcode")); err != nil {
		return nil, err
	}
	if s.citizenSecret, err = secretIn(filepath.Join(dir, "secrets", "citizen.secret")); err != nil {
		return nil, err
	}
	if s.police, err = addressIn(s.file("police"), baseURL); err != nil {
		return nil, err
	}
	if s.civil, err = addressIn(s.file("civil"), baseURL); err != nil {
		return nil, err
	}
	if err := freePorts(filepath.Join(dir, config.MainFile)); err != nil {
		return nil, err
	}
	if s.stamping, err = stampingAddress(filepath.Join(dir, config.MainFile)); err != nil {
		return nil, err
	}
	if s.identity, err = identityAddress(filepath.Join(dir, config.MainFile)); err != nil {
		return nil, err
	}
	return s, extendCalendar(filepath.Join(dir, "calendar.yaml"), now)
}

func (s *cityConfig) file(source string) string {
	return filepath.Join(s.dir, "sources", source+".yaml")
}

// moved writes the actual addresses of the legacy systems into the configuration.
func (s *cityConfig) moved(city *legacy.City) error {
	if err := replaceIn(s.file("police"), s.police, city.Police.Addr()); err != nil {
		return err
	}
	return replaceIn(s.file("civil"), s.civil, city.Civil.Addr())
}

// secretIn reads a secret from a file, or generates one.
func secretIn(name string) (string, error) {
	data, err := os.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		data = []byte(rand.Text() + "\n")
		if err = os.MkdirAll(filepath.Dir(name), 0o700); err == nil {
			err = os.WriteFile(name, data, 0o600)
		}
	}
	if err != nil {
		return "", fmt.Errorf("make secret: %w", err)
	}
	return strings.TrimSpace(string(data)), nil
}

var (
	baseURL = regexp.MustCompile(`(?m)^\s+base_url: http://([0-9.]+:[0-9]+)`)
	listen  = regexp.MustCompile(`(?m)^\s+listen: ([0-9.]+:[0-9]+)`)
	admin   = regexp.MustCompile(`(?m)^\s+admin: ([0-9.]+:[0-9]+)`)
	years   = regexp.MustCompile(`(?m)^years: \[([0-9, ]+)\]`)
)

// addressIn finds an address in a configuration file.
func addressIn(name string, where *regexp.Regexp) (string, error) {
	data, err := os.ReadFile(name)
	if err != nil {
		return "", fmt.Errorf("read configuration: %w", err)
	}
	found := where.FindSubmatch(data)
	if found == nil {
		return "", fmt.Errorf("read configuration: %s has no loopback address", filepath.Base(name))
	}
	return string(found[1]), nil
}

// replaceIn replaces all occurrences of a text in a file.
func replaceIn(name, old, new string) error {
	if old == new {
		return nil
	}
	data, err := os.ReadFile(name)
	if err == nil {
		err = os.WriteFile(name, []byte(strings.ReplaceAll(string(data), old, new)), 0o600)
	}
	if err != nil {
		return fmt.Errorf("change configuration: %w", err)
	}
	return nil
}

// freePorts replaces ports of the gateway that are taken.
func freePorts(name string) error {
	for _, where := range []*regexp.Regexp{listen, admin} {
		address, err := addressIn(name, where)
		if err != nil {
			return err
		}
		free, err := freeAddress(address)
		if err != nil {
			return err
		}
		if err := replaceIn(name, address, free); err != nil {
			return err
		}
	}
	return nil
}

// freeAddress returns the address if its port is free, and otherwise a loopback address with a free port.
func freeAddress(address string) (string, error) {
	l, err := net.Listen("tcp", address)
	if err != nil {
		if l, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
			return "", fmt.Errorf("find a free port: %w", err)
		}
	}
	defer l.Close()
	return l.Addr().String(), nil
}

// extendCalendar extends the sample calendar to next year, whenever the demo runs: years beyond its own have weekends and no
// holidays. Deadlines of a real city need the holiday arrangement that is published each autumn.
func extendCalendar(name string, now time.Time) error {
	data, err := os.ReadFile(name)
	if err != nil {
		return fmt.Errorf("extend calendar: %w", err)
	}
	found := years.FindSubmatch(data)
	if found == nil {
		return nil
	}
	list := string(found[1])
	this := now.In(license.Shanghai()).Year()
	for _, year := range []string{fmt.Sprint(this), fmt.Sprint(this + 1)} {
		if !strings.Contains(list, year) {
			list += ", " + year
		}
	}
	return replaceIn(name, string(found[0]), "years: ["+list+"]")
}
