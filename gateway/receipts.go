package gateway

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"

	"oncegate/api"
	"oncegate/audit"
	"oncegate/tlog"
)

// recordReceipt proves one record under the newest checkpoint (POST /v1/audit/records/{index}/receipt).
func (g *Gateway) recordReceipt(ctx context.Context, c *call, _ struct{}) (*result, error) {
	receipt, err := g.receipt(ctx, c.index(), "log-entry-not-found")
	if err != nil {
		return nil, err
	}
	return g.receiptAnswer(c, receipt), nil
}

// lostReceipt proves the record of a call whose answer the caller lost (POST /v1/receipts); only its own.
func (g *Gateway) lostReceipt(ctx context.Context, c *call, q api.LostRequest) (*result, error) {
	index, err := g.Records.ByJTI(ctx, c.system.ID, q.JTI)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, refuse("receipt-not-found")
	}
	if err != nil {
		return nil, err
	}
	receipt, err := g.receipt(ctx, index, "receipt-not-found")
	if err != nil {
		return nil, err
	}
	// Which record a call left is what a table says. Whoever changed it must not have another system's record handed out.
	record, err := audit.ParseRecord(receipt.Record)
	if err == nil && record.System != c.system.ID {
		err = fmt.Errorf("%w: a call of %s is said to have left record %d, which is another system's", tlog.ErrUnproven, c.system.ID, index)
	}
	if err != nil {
		return nil, err
	}
	return g.receiptAnswer(c, receipt), nil
}

// receipt proves a record, or refuses with missing if the log has none at this index.
func (g *Gateway) receipt(ctx context.Context, index uint64, missing string) (tlog.Receipt, error) {
	receipt, err := g.View.Receipt(ctx, index)
	if errors.Is(err, fs.ErrNotExist) {
		return receipt, refuse(missing)
	}
	return receipt, err
}

func (g *Gateway) receiptAnswer(c *call, r tlog.Receipt) *result {
	return &result{answer: api.ReceiptAnswer{Nonce: g.nonce(), Time: api.At(c.now), Operation: c.row.ID, Index: r.Index, Receipt: wireReceipt(r)}}
}

func wireReceipt(r tlog.Receipt) (out api.Receipt) {
	out = api.Receipt{Record: base64.RawURLEncoding.EncodeToString(r.Record), Index: r.Index, Checkpoint: r.Checkpoint}
	out.Proofs.SM3, out.Proofs.SHA256 = hashes(r.Proofs.SM3), hashes(r.Proofs.SHA256)
	return out
}

func hashes(path [][]byte) []string {
	out := make([]string, len(path))
	for i, h := range path {
		out[i] = base64.StdEncoding.EncodeToString(h)
	}
	return out
}

// entries is a bundle of leaves for auditors and mirrors (GET /log/tile/entries/…).
func (g *Gateway) entries(ctx context.Context, c *call, _ struct{}) (*result, error) {
	bundle, err := g.View.Bundle(ctx, "tile/entries/"+c.path("tile"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, refuse("log-entry-not-found")
	}
	return &result{raw: bundle, media: "application/octet-stream", cache: "private, max-age=31536000, immutable"}, err
}
