package session

import "oncegate/fault"

// A Provider is an identity provider.
type Provider struct {
	ID   string `yaml:"id"`
	Name string `yaml:"name"`
}

type Connection struct{}

func (p Provider) check(s Settings, known Known) (f fault.List) { return f }
