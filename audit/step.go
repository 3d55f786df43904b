package audit

// Steps that Evidence and VerifyReceipt report, besides the log's own (tlog.StepSM3Tree and so on). Each evidence part has
// a step of its own, StepPart and its kind.
const (
	StepRecord      = "record-parsed"
	StepEvidence    = "evidence-digest"
	StepPart        = "evidence-part-"
	StepToken       = "token-digest"
	StepAnswer      = "answer-digest"
	StepCommitments = "person-commitments"
	StepHolder      = "holder-commitment"
	StepWitness     = "witness"
)

// Steps of holding the tables of a database against its logs (StateCheck).
const (
	StepTags    = "tables-authentic"   // every row has a tag of our keys, and together they add up
	StepChanges = "changes-bound"      // what records bind of their changes stands beside them
	StepReplay  = "rows-as-recorded"   // every row is what the changes of the records make of it
	StepIndexed = "search-as-recorded" // what search finds a record by follows from the record
	StepKept    = "evidence-kept"      // evidence is what records name, and nothing is gone without an order
	StepOnce    = "calls-once"         // no call was taken twice, and none was forgotten too early
	StepCopies  = "copies-authentic"   // kept copies and originals have a tag of our keys
)
