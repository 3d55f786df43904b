package hammer

import "context"

func (b *bench) measureRooms(ctx context.Context) error { return nil }
