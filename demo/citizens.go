package demo

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"image/png"
	"net"
	"net/http"
	"os"
	"regexp"
	"strings"
	"syscall"
	"time"

	"github.com/makiuchi-d/gozxing"
	"github.com/makiuchi-d/gozxing/qrcode"

	"oncegate/demo/identity"
)

var (
	// providerBlock is the holders' identity provider in the configuration, which is commented out until the demo has one.
	providerBlock = regexp.MustCompile(`(?m)^  # providers:\n(?:  #   .*\n)+`)
	issuerURL     = regexp.MustCompile(`(?m)^\s+issuer: http://([0-9.]+:[0-9]+)`)
)

const (
	consoleClient = "yunchuan-console" // client_id of the configuration
	callbackPath  = "/console/callback/citizen"
)

// identityAddress writes a free address for the holders' identity provider into the configuration, and returns it; "" where a folder of an
// earlier version names none.
func identityAddress(name string) (string, error) {
	data, err := os.ReadFile(name)
	if err != nil {
		return "", fmt.Errorf("read configuration: %w", err)
	}
	if block := providerBlock.FindString(string(data)); block != "" {
		if err := replaceIn(name, block, strings.ReplaceAll(block, "  # ", "  ")); err != nil {
			return "", err
		}
	} else if !issuerURL.Match(data) {
		return "", nil
	}
	address, err := addressIn(name, issuerURL)
	if err != nil {
		return "", err
	}
	free, err := freeAddress(address)
	if err != nil {
		return "", err
	}
	return free, replaceIn(name, address, free)
}

// openIdentity starts the identity provider at which holders sign in.
func (st *stage) openIdentity(context.Context) error {
	if st.identity == "" {
		return nil
	}
	listener, err := st.listenForCitizens()
	if err != nil {
		return fmt.Errorf("start identity provider: %w", err)
	}
	provider, err := identity.New(identity.Config{
		Issuer: "http://" + st.identity, Client: consoleClient, Secret: st.citizenSecret, People: st.people(),
		Callback: func() string { return st.node.PublicURL() + callbackPath },
	})
	if err != nil {
		return errors.Join(err, listener.Close())
	}
	st.citizens = &http.Server{Handler: provider, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 10 * time.Second, IdleTimeout: time.Minute, MaxHeaderBytes: 16 << 10}
	go func() {
		if err := st.citizens.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			st.failed <- fmt.Errorf("the identity provider stopped: %w", err)
		}
	}()
	return nil
}

// listenForCitizens listens at the configured address, and retries with other ports when it was taken in the meantime (EADDRINUSE).
func (st *stage) listenForCitizens() (l net.Listener, err error) {
	for range 5 {
		if l, err = net.Listen("tcp", st.identity); !errors.Is(err, syscall.EADDRINUSE) {
			return l, err
		}
		if st.identity, err = identityAddress(st.mainFile()); err != nil {
			return nil, err
		}
	}
	return nil, err
}

// people are those of the story who can sign in as holders.
func (st *stage) people() []identity.Person {
	cast := st.city.Population.Cast
	return []identity.Person{
		{Code: cast.FoodShop.Legal.Code, Name: cast.FoodShop.Legal.Name,
			Zh: "开食品店的法定代表人。代单位查，填 " + cast.FoodShop.Code, En: "legal representative of a food shop, whose code is " + cast.FoodShop.Code},
		{Code: cast.Couple[0].Code, Name: cast.Couple[0].Name, Zh: "过户房产的丈夫。办事先查：不动产转移登记", En: "the husband who transfers a flat: check before applying"},
		{Code: cast.Couple[1].Code, Name: cast.Couple[1].Name, Zh: "他的妻子，身份证号 " + cast.Couple[1].Code + "。在自己的手机上同意", En: "his wife, " + cast.Couple[1].Code + ", who consents on her own phone"},
		{Code: cast.Stranger.Code, Name: cast.Stranger.Name, Zh: "和这些事都没有关系的人", En: "somebody who has nothing to do with it"},
	}
}

// codeOnPaper is what the QR code of the drawn license opens, as a phone reads it.
func (st *stage) codeOnPaper() (string, error) {
	data, err := os.ReadFile(st.path("artefacts", "license.png"))
	if err != nil {
		return "", err
	}
	drawn, err := png.Decode(bytes.NewReader(data))
	if err != nil {
		return "", fmt.Errorf("read the code on the license: %w", err)
	}
	bitmap, err := gozxing.NewBinaryBitmapFromImage(drawn)
	if err != nil {
		return "", fmt.Errorf("read the code on the license: %w", err)
	}
	found, err := qrcode.NewQRCodeReader().Decode(bitmap, nil)
	if err != nil {
		return "", fmt.Errorf("read the code on the license: %w", err)
	}
	return found.GetText(), nil
}
