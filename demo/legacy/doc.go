// Package legacy is the sample city's own systems (业务系统) as departments really have them: each with a schema, code lists, date
// forms and habits of its own, none of which fit the others. A gateway reaches them only from outside, through a database file, an
// HTTP port or a folder of drops.
//
// Everybody in it is made up: names are of heavenly stems and earthly branches (天干地支), codes have right check characters and
// the region 379901, which belongs to nobody.
package legacy
