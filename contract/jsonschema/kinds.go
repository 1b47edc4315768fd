package jsonschema

import "leat/contract"

// What a reader can bear of a change from the writer's schema to its own. Of these words only those are kept that it cannot bear: Strict is what
// Confluent's registry does unless it is told otherwise, Lenient bears what only matters where payloads hold more than their schema names.
const (
	schemaAdded = "SCHEMA_ADDED"
	typeChanged = "TYPE_CHANGED"
	typeNarrow  = "TYPE_NARROWED"

	patternAdded, patternChanged       = "PATTERN_ADDED", "PATTERN_CHANGED"
	multipleAdded, multipleExpanded    = "MULTIPLE_OF_ADDED", "MULTIPLE_OF_EXPANDED"
	multipleChanged                    = "MULTIPLE_OF_CHANGED"
	requiredAdded                      = "REQUIRED_ATTRIBUTE_ADDED"
	additionalRemoved                  = "ADDITIONAL_PROPERTIES_REMOVED"
	additionalNarrowed                 = "ADDITIONAL_PROPERTIES_NARROWED"
	unevaluatedRemoved                 = "UNEVALUATED_PROPERTIES_REMOVED"
	unevaluatedNarrowed                = "UNEVALUATED_PROPERTIES_NARROWED"
	listAdded, listExtended            = "DEPENDENCY_ARRAY_ADDED", "DEPENDENCY_ARRAY_EXTENDED"
	listChanged                        = "DEPENDENCY_ARRAY_CHANGED"
	dependencyAdded                    = "DEPENDENCY_SCHEMA_ADDED"
	requiredToOpen                     = "REQUIRED_PROPERTY_ADDED_TO_OPEN_CONTENT_MODEL"
	requiredDefaultToOpen              = "REQUIRED_PROPERTY_WITH_DEFAULT_ADDED_TO_OPEN_CONTENT_MODEL"
	optionalToOpen                     = "OPTIONAL_PROPERTY_ADDED_TO_OPEN_CONTENT_MODEL"
	requiredToUnopen                   = "REQUIRED_PROPERTY_ADDED_TO_UNOPEN_CONTENT_MODEL"
	removedFromClosed                  = "PROPERTY_REMOVED_FROM_CLOSED_CONTENT_MODEL"
	removedNotCovered                  = "PROPERTY_REMOVED_NOT_COVERED_BY_PARTIALLY_OPEN_CONTENT_MODEL"
	addedNotCovered                    = "PROPERTY_ADDED_NOT_COVERED_BY_PARTIALLY_OPEN_CONTENT_MODEL"
	uniqueAdded                        = "UNIQUE_ITEMS_ADDED"
	itemsRemoved, itemsNarrowed        = "ADDITIONAL_ITEMS_REMOVED", "ADDITIONAL_ITEMS_NARROWED"
	restItemsRemoved                   = "UNEVALUATED_ITEMS_REMOVED"
	restItemsNarrowed                  = "UNEVALUATED_ITEMS_NARROWED"
	itemToOpen                         = "ITEM_ADDED_TO_OPEN_CONTENT_MODEL"
	itemFromClosed                     = "ITEM_REMOVED_FROM_CLOSED_CONTENT_MODEL"
	itemRemovedNotCovered              = "ITEM_REMOVED_NOT_COVERED_BY_PARTIALLY_OPEN_CONTENT_MODEL"
	itemAddedNotCovered                = "ITEM_ADDED_NOT_COVERED_BY_PARTIALLY_OPEN_CONTENT_MODEL"
	enumNarrowed, enumChanged          = "ENUM_ARRAY_NARROWED", "ENUM_ARRAY_CHANGED"
	combinedChanged, subschemasChanged = "COMBINED_TYPE_CHANGED", "COMBINED_TYPE_SUBSCHEMAS_CHANGED"
	productExtended, sumNarrowed       = "PRODUCT_TYPE_EXTENDED", "SUM_TYPE_NARROWED"
	notExtended                        = "NOT_TYPE_EXTENDED"
)

// lenient are the changes that only Strict does not bear.
var lenient = map[string]bool{
	additionalNarrowed: true, additionalRemoved: true, unevaluatedNarrowed: true, unevaluatedRemoved: true, requiredDefaultToOpen: true,
	optionalToOpen: true, removedFromClosed: true, addedNotCovered: true, removedNotCovered: true,
}

const (
	sayPresent  = "The keyword at path '$path' in the %[1]s schema is not present in the %[2]s schema"
	sayMore     = "The value at path '$path' in the %[1]s schema is more than its value in the %[2]s schema"
	sayLess     = "The value at path '$path' in the %[1]s schema is less than its value in the %[2]s schema"
	sayOther    = "The value at path '$path' is different between the %[1]s and %[2]s schema"
	sayFewer    = "An array or combined type at path '$path' has fewer elements in the %[1]s schema than the %[2]s schema"
	sayElements = "An array or combined type at path '$path' has more elements in the %[1]s schema than the %[2]s schema"
	sayType     = "A type at path '$path' is different between the %[1]s schema and the %[2]s schema"
	sayOpen     = "The %[1]s schema has an open content model and has a property or item at path '$path' which is missing in the %[2]s schema"
	sayUnopen   = "The %[1]s schema has an unopen content model and has a required property at path '$path' which is missing in the %[2]s schema"
	sayClosed   = "The %[1]s has a closed content model and is missing a property or item present at path '$path' in the %[2]s schema"
	sayGone     = "A property or item is missing in the %[1]s schema but present at path '$path' in the %[2]s schema and is not covered by its partially open content model"
	sayExtra    = "The %[1]s schema has a property or item at path '$path' which is missing in the %[2]s schema and is not covered by its partially open content model"
)

type words struct{ sentence, hint string }

var about = map[string]words{
	schemaAdded: {sayPresent, "leave the restriction out, or set the stream a new subject"},
	typeChanged: {sayType, "keep the type, or allow both with a list of types"}, typeNarrow: {sayType, "keep number where numbers were allowed"},
	patternAdded: {sayPresent, "leave the pattern out"}, patternChanged: {sayOther, "keep the pattern"},
	multipleAdded: {sayPresent, "leave multipleOf out"}, multipleExpanded: {sayMore, "keep multipleOf"}, multipleChanged: {sayOther, "keep multipleOf"},
	requiredAdded: {sayPresent, "leave the property optional, or give it a default"}, additionalRemoved: {sayPresent, "keep additionalProperties"},
	additionalNarrowed: {sayFewer, "keep additionalProperties"}, unevaluatedRemoved: {sayPresent, "keep unevaluatedProperties"},
	unevaluatedNarrowed: {sayFewer, "keep unevaluatedProperties"},
	listAdded:           {sayPresent, "leave the dependency out"}, listExtended: {sayElements, "ask for no more than before"}, listChanged: {sayOther, "keep the dependency"},
	dependencyAdded:       {sayPresent, "leave the dependency out"},
	requiredToOpen:        {sayOpen, "close the content model before properties are added, or use compatibilityPolicy LENIENT"},
	requiredDefaultToOpen: {sayOpen, "close the content model before properties are added, or use compatibilityPolicy LENIENT"},
	optionalToOpen:        {sayOpen, "close the content model before properties are added, or use compatibilityPolicy LENIENT"},
	requiredToUnopen:      {sayUnopen, "leave the property optional, or give it a default"},
	removedFromClosed:     {sayClosed, "keep the property, or open the content model"}, removedNotCovered: {sayGone, "keep the property"}, addedNotCovered: {sayExtra, "have the property keep to additionalProperties"},
	uniqueAdded: {sayPresent, "leave uniqueItems out"}, itemsRemoved: {sayPresent, "keep additionalItems"}, itemsNarrowed: {sayFewer, "keep additionalItems"},
	restItemsRemoved: {sayPresent, "keep unevaluatedItems"}, restItemsNarrowed: {sayFewer, "keep unevaluatedItems"},
	itemToOpen: {sayOpen, "say from the start what every item is"}, itemFromClosed: {sayClosed, "keep the item"}, itemRemovedNotCovered: {sayGone, "keep the item"},
	itemAddedNotCovered: {sayExtra, "have the item keep to what others may be"},
	enumNarrowed:        {sayFewer, "keep every value"}, enumChanged: {sayType, "keep every value"}, combinedChanged: {sayType, "keep allOf, anyOf or oneOf"},
	subschemasChanged: {sayType, "keep what the subschemas admit"}, productExtended: {sayElements, "add no part to allOf"}, sumNarrowed: {sayFewer, "keep every part of anyOf and oneOf"},
	notExtended: {sayElements, "exclude no more than before"},
}

// bound is a keyword whose number may only move one way.
type bound struct {
	word, stem string
	upper      bool // a smaller value admits less
}

var bounds = map[kind][]bound{
	str:    {{"maxLength", "MAX_LENGTH", true}, {"minLength", "MIN_LENGTH", false}},
	number: {{"maximum", "MAXIMUM", true}, {"minimum", "MINIMUM", false}, {"exclusiveMaximum", "EXCLUSIVE_MAXIMUM", true}, {"exclusiveMinimum", "EXCLUSIVE_MINIMUM", false}},
	object: {{"maxProperties", "MAX_PROPERTIES", true}, {"minProperties", "MIN_PROPERTIES", false}},
	array:  {{"maxItems", "MAX_ITEMS", true}, {"minItems", "MIN_ITEMS", false}, {"maxContains", "MAX_CONTAINS", true}, {"minContains", "MIN_CONTAINS", false}},
}

func bears(kind string, p contract.Policy) bool { return p == contract.Lenient && lenient[kind] }
