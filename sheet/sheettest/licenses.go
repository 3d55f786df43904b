// Package sheettest has made-up licenses for tests of layouts.
package sheettest

// Licenses are what one license of each type of the sample city says, as [sheet.Content] takes it. Nobody in them exists.
var Licenses = map[string]map[string][]string{
	"business-license": {
		"holder_name": {"云川市青禾餐饮管理有限公司"}, "holder_code": {"91379901MA9K3T7X1Q"}, "number": {"37990100012026"},
		"issuer_name": {"云川市市场监督管理局"}, "issued": {"2026-11-23"}, "valid_from": {"2026-11-23"}, "valid_to": {"长期"},
		"legal_representative": {"柏承禾"}, "enterprise_type": {"有限责任公司（自然人投资或控股）"}, "registered_capital": {"5000000"},
		"address": {"云川市临江区望云路188号云川创新中心3号楼（A座）1206室"}, "founded": {"2026-11-23"},
		"business_scope": {"许可项目：餐饮服务；食品销售；酒类经营；道路货物运输（不含危险货物）。（依法须经批准的项目，经相关部门批准后方可开展经营活动，具体经营项目以相关部门批准文件或许可证件为准）一般项目：餐饮管理；外卖递送服务；食用农产品批发；食用农产品零售；会议及展览服务；企业管理咨询；信息咨询服务（不含许可类信息咨询服务）；厨具卫具及日用杂品批发。（除依法须经批准的项目外，凭营业执照依法自主开展经营活动）"},
	},
	"real-estate-certificate": {
		"holder_name": {"柏承禾", "闻人语冰"}, "number": {"云（2026）云川市不动产权第0012345号"}, "issuer_name": {"云川市自然资源局"}, "issued": {"2026-11-23"},
		"valid_from": {"2020-01-01"}, "valid_to": {"2089-12-31"}, "ownership": {"按份共有"}, "location": {"云川市临江区望云路66号栖云苑5幢2单元1801室"},
		"unit_number": {"379901 003012 GB00088 F00050037"}, "right_type": {"国有建设用地使用权／房屋所有权"}, "use": {"城镇住宅用地／住宅"}, "area": {"128.65"}, "share": {"60%", "40%"},
	},
	"marriage-certificate": {
		"holder_name": {"柏承禾", "闻人语冰"}, "holder_code": {"379901199001011237", "379901199202022346"}, "sex": {"1", "2"},
		"number": {"J379901-2026-001234"}, "issuer_name": {"云川市民政局"}, "issued": {"2026-11-23"}, "registered_on": {"2026-11-23"},
	},
	"tax-clearance": {
		"holder_name": {"柏承禾"}, "holder_code": {"379901199001011237"}, "number": {"379000261123000088"}, "issuer_name": {"国家税务总局云川市税务局"},
		"issued": {"2026-11-23"}, "valid_from": {"2026-11-23"}, "valid_to": {"2027-11-22"}, "tax_kind": {"契税"}, "amount": {"38520.05"},
		"object": {"云川市临江区望云路66号栖云苑5幢2单元1801室"},
	},
	"resident-id": {
		"holder_name": {"柏承禾"}, "holder_code": {"379901199001011237"}, "sex": {"1"}, "ethnic_group": {"汉"}, "born": {"1990-01-01"},
		"address": {"云川市临江区望云路66号栖云苑5幢2单元1801室"}, "issuer_name": {"云川市公安局临江分局"}, "issued": {"2020-06-01"},
		"valid_from": {"2020-06-01"}, "valid_to": {"2040-06-01"}, "number": {"379901199001011237"},
	},
	"food-business-license": {
		"holder_name": {"云川市青禾餐饮管理有限公司"}, "holder_code": {"91379901MA9K3T7X1Q"}, "number": {"JY23799010012347"}, "legal_representative": {"柏承禾"},
		"address": {"云川市临江区望云路188号云川创新中心3号楼1206室"}, "premises": {"云川市临江区滨江步行街12号一层"}, "business_kind": {"餐饮服务经营者（小型餐馆）"},
		"business_items": {"热食类食品制售，冷食类食品制售，自制饮品制售"}, "supervisor": {"临江区市场监督管理所"}, "complaints_phone": {"12315"},
		"issuer_name": {"云川市市场监督管理局"}, "signed_by": {"陆望舒"}, "issued": {"2026-11-23"}, "valid_to": {"2031-11-22"},
	},
	"road-transport-license": {
		"holder_name": {"云川市云驿物流有限公司"}, "number": {"云交运管许可字379901000123号"}, "address": {"云川市临江区物流园路8号"}, "economic_type": {"有限责任公司"},
		"business_scope": {"道路普通货物运输，货物专用运输（冷藏保鲜）"}, "valid_from": {"2026-11-23"}, "valid_to": {"2030-11-22"},
		"issuer_name": {"云川市交通运输局"}, "issued": {"2026-11-23"},
	},
}

// CodeURL is the address of the public page of a document's code, as its QR code says it, under an address of some length.
const CodeURL = "HTTPS://LICENSES.YUNCHUAN.EXAMPLE/V/7ZK3M9Q2T8WX4C6V1B5N0GHJDR"

// Notices are watermarks of annotated copies, short and long: by whom, to whom for what, for which case, until when.
var Notices = []string{
	"云川市市场监督管理局提供\n仅供云川市行政审批服务局办理食品经营许可使用\n办件号 SP-2026-000123\n有效期至 2026年12月23日 17:30",
	"国家税务总局云川市税务局提供\n仅供云川市不动产登记中心办理国有建设用地使用权及房屋所有权转移登记使用\n办件号 BDC-379901-2026-1123-0000457\n有效期至 2026年12月31日 09:05",
	"云川市公安局提供\n仅供法院办理执行查询使用\n办件号 77\n有效期至 2027年1月1日 00:00",
}
