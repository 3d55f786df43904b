package legacy

import "database/sql"

// Land is the real estate register of natural resources (自然资源局 不动产登记系统): rights and owners in tables of their own, with
// upper-case abbreviations and times as text.
type Land struct{ db *sql.DB }

const landSchema = `
CREATE TABLE BDC_QLXX (
	QLID    INTEGER PRIMARY KEY,
	BDCQZH  TEXT NOT NULL UNIQUE, -- 不动产权证号
	BDCDYH  TEXT NOT NULL,        -- 不动产单元号
	ZL      TEXT NOT NULL,        -- 坐落
	QLLX    TEXT NOT NULL,        -- 权利类型
	GYFS    TEXT NOT NULL,        -- 共有方式: 0 单独所有 1 共同共有 2 按份共有
	GHYT    TEXT,                 -- 规划用途
	JZMJ    REAL,                 -- 建筑面积
	DJSJ    TEXT NOT NULL,        -- 登记时间
	QSZT    TEXT NOT NULL         -- 权属状态: 0 历史 1 现势 2 查封 3 注销
);
CREATE TABLE BDC_QLR (
	QLRID   INTEGER PRIMARY KEY,
	QLID    INTEGER NOT NULL REFERENCES BDC_QLXX,
	SXH     INTEGER NOT NULL,     -- 顺序号
	QLRMC   TEXT NOT NULL,        -- 权利人名称
	ZJZL    TEXT NOT NULL,        -- 证件种类: 1 身份证 7 统一社会信用代码
	ZJH     TEXT NOT NULL,
	QLBL    TEXT                  -- 权利比例
);
CREATE INDEX IDX_QLR_ZJH ON BDC_QLR (ZJH);
`

func newLand(name string, estates []Estate) (*Land, error) {
	db, err := create(name, landSchema, func(tx *sql.Tx) error {
		right, rights := inserter(tx, `INSERT INTO BDC_QLXX VALUES (?, ?, ?, ?, '4', ?, ?, ?, ?, ?)`)
		owner, owners := inserter(tx, `INSERT INTO BDC_QLR (QLID, SXH, QLRMC, ZJZL, ZJH, QLBL) VALUES (?, ?, ?, '1', ?, ?)`)
		for i, e := range estates {
			right(i+1, e.Number, e.Unit, e.Place, e.together(), e.use(), e.Area, string(e.On)+" 10:24:00", "1")
			for k, p := range e.Owners {
				var share any // NULL where nobody counts shares
				if e.Shares != nil {
					share = e.Shares[k]
				}
				owner(i+1, k+1, p.Name, p.Code, share)
			}
		}
		if err := rights(); err != nil {
			return err
		}
		return owners()
	})
	if err != nil {
		return nil, err
	}
	return &Land{db}, nil
}

func (e Estate) together() string {
	switch {
	case len(e.Owners) == 1:
		return "0"
	case e.Shares == nil:
		return "1"
	}
	return "2"
}

func (e Estate) use() string {
	if e.Shop {
		return "21"
	}
	return "11"
}
