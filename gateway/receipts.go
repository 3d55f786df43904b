package gateway

import (
	"context"
	"encoding/base64"
	"errors"
	"io/fs"

	"oncegate/api"
	"oncegate/tlog"
)

// recordReceipt proves one record under the newest checkpoint (POST /v1/audit/records/{index}/receipt).
func (g *Gateway) recordReceipt(ctx context.Context, c *call, _ struct{}) (*result, error) {
	return g.receiptOf(ctx, c, c.index(), "log-entry-not-found")
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
	return g.receiptOf(ctx, c, index, "receipt-not-found")
}

func (g *Gateway) receiptOf(ctx context.Context, c *call, index uint64, missing string) (*result, error) {
	receipt, err := g.View.Receipt(ctx, index)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, refuse(missing)
	}
	if err != nil {
		return nil, err
	}
	return &result{answer: api.ReceiptAnswer{Nonce: g.nonce(), Time: api.At(c.now), Operation: c.row.ID, Index: index, Receipt: wireReceipt(receipt)}}, nil
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
