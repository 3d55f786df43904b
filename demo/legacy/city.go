// Package legacy simulates the legacy systems (业务系统) of the sample city's departments, each with a schema, code lists, date formats
// and conventions of its own. A gateway reaches them only from outside: through a database file, an HTTP port or a folder of drops.
//
// Everybody in it is made up: names are of heavenly stems and earthly branches (天干地支), codes have right check characters and
// the region 379901, which belongs to nobody.
package legacy

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// Config says where the city's systems keep their files and where they listen.
type Config struct {
	Dir         string // of the database files and drops; it is made if need be, and what a run before left is made anew
	Police      string // host:port of public security; any free port if it is taken
	PoliceToken string // what it wants to see in X-Access-Token
	Civil       string // host:port of civil affairs; any free port if it is taken
	CivilCode   string // its AppCode
}

// A City is the running systems of all departments.
type City struct {
	Population *Population
	Market     *Market  // 市场监管局, Dir/market.db
	Land       *Land    // 自然资源局, Dir/land.db
	Police     *Service // 公安局
	Civil      *Service // 民政局
	Tax        *Tax     // 税务局, Dir/tax-drops
}

// Start makes the files and starts the services. No drop of the tax bureau is there yet.
func Start(c Config) (_ *City, err error) {
	if err := os.MkdirAll(c.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("start the city: %w", err)
	}
	city := &City{Population: Invent()}
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("start the city: %w", err), city.Close())
		}
	}()
	p := city.Population
	if city.Market, err = newMarket(filepath.Join(c.Dir, "market.db"), p.Companies); err != nil {
		return nil, err
	}
	if city.Land, err = newLand(filepath.Join(c.Dir, "land.db"), p.Estates); err != nil {
		return nil, err
	}
	if city.Tax, err = newTax(filepath.Join(c.Dir, "tax-drops"), p.Payments); err != nil {
		return nil, err
	}
	if city.Police, err = serve(c.Police, newPolice(c.PoliceToken, p.People)); err != nil {
		return nil, err
	}
	city.Civil, err = serve(c.Civil, &civil{c.CivilCode, p.Marriages})
	return city, err
}

// Close stops everything that was started.
func (c *City) Close() error {
	var all []error
	if c.Civil != nil {
		all = append(all, c.Civil.Close())
	}
	if c.Police != nil {
		all = append(all, c.Police.Close())
	}
	if c.Market != nil {
		all = append(all, c.Market.db.Close())
	}
	if c.Land != nil {
		all = append(all, c.Land.db.Close())
	}
	return errors.Join(all...)
}
