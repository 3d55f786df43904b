package legacy

import (
	"context"
	"database/sql"
	"fmt"
	"io/fs"
	"strings"
	"time"

	"oncegate/license"
)

// Market is the business register of market regulation (市场监管局 市场主体登记系统): one wide table with pinyin columns, days as
// yyyyMMdd, capital in 万元, codes of its own.
type Market struct{ db *sql.DB }

const marketSchema = `
create table d_ztzt (dm text primary key, mc text not null); -- 主体状态
insert into d_ztzt values ('1', '存续'), ('2', '吊销'), ('3', '注销'), ('4', '迁出'), ('5', '停业');
create table d_qylx (dm text primary key, mc text not null); -- 企业类型
insert into d_qylx values ('1130', '有限责任公司（自然人投资或控股）'), ('1151', '有限责任公司（自然人独资）'), ('1219', '股份有限公司（非上市）'), ('4540', '个人独资企业');
create table t_scztxx (
	ztid        integer primary key,
	tyshxydm    text not null unique, -- 统一社会信用代码
	zzbh        text not null,        -- 营业执照编号
	qymc        text not null,
	qylx_dm     text not null references d_qylx,
	fddbr       text not null,        -- 法定代表人
	fddbr_zjlx  text not null,        -- 证件类型, 10 身份证
	fddbr_zjhm  text not null,
	zczb_wy     real,                 -- 注册资本, 万元
	zs          text,
	jyfw        text,
	clrq        text not null,        -- 成立日期 yyyyMMdd
	fzrq        text not null,        -- 发照日期 yyyyMMdd
	yxq_z       text not null,        -- 营业期限止, 99991231 长期
	zt_dm       text not null references d_ztzt,
	czy         text,                 -- 操作员
	gxsj        text                  -- 更新时间
);
create table t_scztbg (bgid integer primary key, ztid integer not null, bgsx text, bgq text, bgh text, bgrq text); -- 变更记录
`

func newMarket(name string, companies []Company) (*Market, error) {
	db, err := create(name, marketSchema, func(tx *sql.Tx) error {
		insert, done := inserter(tx, `insert into t_scztxx values (?, ?, ?, ?, ?, ?, '10', ?, ?, ?, ?, ?, ?, '99991231', ?, 'admin', ?)`)
		for i, c := range companies {
			founded := strings.ReplaceAll(string(c.Founded), "-", "")
			state := "1"
			if i > 20 && i%17 == 0 { // some of every stock are gone
				state = "3"
			}
			insert(i+1, c.Code, fmt.Sprintf("%s%s%05d(1-1)", Region, founded[:4], i+1), c.Name, c.Kind, c.Legal.Name, c.Legal.Code, c.Capital, c.Address, c.Scope, founded, founded, state, founded)
		}
		return done()
	})
	if err != nil {
		return nil, err
	}
	return &Market{db}, nil
}

// Revoke revokes a company's business license (吊销), as a clerk of market regulation does. The error is fs.ErrNotExist if there
// is no such company.
func (m *Market) Revoke(ctx context.Context, company license.HolderID, at time.Time) error {
	day := at.In(license.Shanghai()).Format("20060102")
	return inOneTransaction(ctx, m.db, func(tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, `insert into t_scztbg (ztid, bgsx, bgq, bgh, bgrq) select ztid, 'zt_dm', zt_dm, '2', ? from t_scztxx where tyshxydm = ?`, day, company.Code); err != nil {
			return err
		}
		res, err := tx.ExecContext(ctx, `update t_scztxx set zt_dm = '2', gxsj = ? where tyshxydm = ?`, day, company.Code)
		if err != nil {
			return err
		}
		if n, err := res.RowsAffected(); err != nil || n == 0 {
			return fmt.Errorf("revoke business license: %w", fs.ErrNotExist)
		}
		return nil
	})
}

func inOneTransaction(ctx context.Context, db *sql.DB, do func(*sql.Tx) error) error {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	if err := do(tx); err != nil {
		return err
	}
	return tx.Commit()
}
