package wire

// The part of SNS that reaches phones. Nothing is delivered there; what is set up is kept and told, so that programs that do so can be tried.

// PlatformInput is the request of actions that need nothing but an application.
type PlatformInput struct {
	ARN       string
	NextToken string // of ListEndpointsByPlatformApplication
}

// CreatePlatformInput asks for an application.
type CreatePlatformInput struct {
	Name       string
	Platform   string
	Attributes Pairs
}

// PlatformOutput answers it.
type PlatformOutput struct{ ARN string }

// SetAttributesInput changes attributes of an application or an endpoint.
type SetAttributesInput struct {
	ARN        string
	Attributes Pairs
}

// Platform is an application or an endpoint as lists have it.
type Platform struct {
	ARN        string
	Attributes Pairs
}

// ListPlatformsOutput is a page of applications or of endpoints.
type ListPlatformsOutput struct {
	Platforms []Platform
	NextToken string
}

// CreateEndpointInput asks for an endpoint, a device, of an application.
type CreateEndpointInput struct {
	PlatformARN string
	Token       string
	UserData    string
	Attributes  Pairs
}

// EndpointInput is the request of actions that need nothing but an endpoint.
type EndpointInput struct{ ARN string }

// EndpointOutput answers CreatePlatformEndpoint.
type EndpointOutput struct{ ARN string }

// PhoneInput is the request of actions that need nothing but a number.
type PhoneInput struct{ Number string }

// OptedOutOutput says whether a number wants no messages.
type OptedOutOutput struct{ OptedOut bool }

// PhonesOutput is a page of numbers.
type PhonesOutput struct {
	Numbers   []string
	NextToken string
}

// NamesInput asks for attributes by name; none for all.
type NamesInput struct{ Names []string }

// SMSAttributesInput sets attributes of text messages.
type SMSAttributesInput struct{ Attributes Pairs }

// PhonePageInput asks for a page of numbers.
type PhonePageInput struct {
	NextToken  string
	MaxResults Opt[int64]
}

// SandboxInput adds a number to those that messages may be tried on.
type SandboxInput struct {
	Number   string
	Language string
}

// VerifyInput proves that a number is one's own.
type VerifyInput struct {
	Number   string
	Password string
}

// SandboxOutput says whether messages go only to numbers that were verified.
type SandboxOutput struct{ InSandbox bool }

// SandboxPhone is a number and whether it was verified: Pending, Verified.
type SandboxPhone struct{ Number, Status string }

// SandboxPhonesOutput is a page of them.
type SandboxPhonesOutput struct {
	Phones    []SandboxPhone
	NextToken string
}

// OriginationOutput is a page of numbers that messages are sent from.
type OriginationOutput struct {
	Numbers   []OriginationNumber
	NextToken string
}

// OriginationNumber is one of them. Created is a timestamp as XML has it: 2012-05-02T00:54:06Z.
type OriginationNumber struct {
	Created, Number, Status, Country, Route string
	Capabilities                            []string
}

// The actions.
var (
	CreatePlatformApplication = action(SNS, "CreatePlatformApplication", of(
		member("Name", text, func(in *CreatePlatformInput) *string { return &in.Name }).must(),
		member("Platform", text, func(in *CreatePlatformInput) *string { return &in.Platform }).must(),
		member("Attributes", pairs(entries, "key", "value"), func(in *CreatePlatformInput) *Pairs { return &in.Attributes }).must(),
	), of(member("PlatformApplicationArn", text, func(o *PlatformOutput) *string { return &o.ARN })), checkPlatform)

	DeletePlatformApplication          = action(SNS, "DeletePlatformApplication", platformInput, (*shape[None])(nil), nil)
	GetPlatformApplicationAttributes   = action(SNS, "GetPlatformApplicationAttributes", platformInput, attributesOutput, nil)
	SetPlatformApplicationAttributes   = action(SNS, "SetPlatformApplicationAttributes", setAttributes("PlatformApplicationArn"), (*shape[None])(nil), nil)
	ListPlatformApplications           = action(SNS, "ListPlatformApplications", page, listPlatforms("PlatformApplications", "PlatformApplicationArn"), nil)
	ListEndpointsByPlatformApplication = action(SNS, "ListEndpointsByPlatformApplication", platformInput, listPlatforms("Endpoints", "EndpointArn"), nil)

	CreatePlatformEndpoint = action(SNS, "CreatePlatformEndpoint", of(
		member("PlatformApplicationArn", text, func(in *CreateEndpointInput) *string { return &in.PlatformARN }).must(),
		member("Token", text, func(in *CreateEndpointInput) *string { return &in.Token }).must(),
		member("CustomUserData", text, func(in *CreateEndpointInput) *string { return &in.UserData }),
		member("Attributes", pairs(entries, "key", "value"), func(in *CreateEndpointInput) *Pairs { return &in.Attributes }),
	), of(member("EndpointArn", text, func(o *EndpointOutput) *string { return &o.ARN })), nil)

	DeleteEndpoint        = action(SNS, "DeleteEndpoint", endpointInput, (*shape[None])(nil), nil)
	GetEndpointAttributes = action(SNS, "GetEndpointAttributes", endpointInput, attributesOutput, nil)
	SetEndpointAttributes = action(SNS, "SetEndpointAttributes", setAttributes("EndpointArn"), (*shape[None])(nil), nil)

	CheckIfPhoneNumberIsOptedOut = action(SNS, "CheckIfPhoneNumberIsOptedOut", phone("phoneNumber"), of(
		member("isOptedOut", flag, func(o *OptedOutOutput) *bool { return &o.OptedOut }),
	), nil)
	OptInPhoneNumber         = action(SNS, "OptInPhoneNumber", phone("phoneNumber"), of[None](), nil)
	ListPhoneNumbersOptedOut = action(SNS, "ListPhoneNumbersOptedOut", of(
		member("nextToken", text, func(in *PageInput) *string { return &in.NextToken }),
	), of(
		member("phoneNumbers", always(list(text, members)), func(o *PhonesOutput) *[]string { return &o.Numbers }),
		member("nextToken", text, func(o *PhonesOutput) *string { return &o.NextToken }),
	), nil)

	GetSMSAttributes = action(SNS, "GetSMSAttributes", of(
		member("attributes", list(text, members), func(in *NamesInput) *[]string { return &in.Names }),
	), of(
		member("attributes", pairs(entries, "key", "value"), func(o *AttributesOutput) *Pairs { return &o.Attributes }),
	), nil)
	SetSMSAttributes = action(SNS, "SetSMSAttributes", of(
		member("attributes", pairs(entries, "key", "value"), func(in *SMSAttributesInput) *Pairs { return &in.Attributes }),
	), of[None](), func(in *SMSAttributesInput) *Error {
		if len(in.Attributes) == 0 {
			return Refuse(TopicValidationError, "1 validation error detected: Value null at 'attributes' failed to satisfy constraint: Member must not be null")
		}
		return nil
	})

	CreateSMSSandboxPhoneNumber = action(SNS, "CreateSMSSandboxPhoneNumber", of(
		member("PhoneNumber", text, func(in *SandboxInput) *string { return &in.Number }).must(),
		member("LanguageCode", text, func(in *SandboxInput) *string { return &in.Language }),
	), of[None](), nil)
	VerifySMSSandboxPhoneNumber = action(SNS, "VerifySMSSandboxPhoneNumber", of(
		member("PhoneNumber", text, func(in *VerifyInput) *string { return &in.Number }).must(),
		member("OneTimePassword", text, func(in *VerifyInput) *string { return &in.Password }).must(),
	), of[None](), nil)
	DeleteSMSSandboxPhoneNumber = action(SNS, "DeleteSMSSandboxPhoneNumber", phone("PhoneNumber"), of[None](), nil)
	GetSMSSandboxAccountStatus  = action(SNS, "GetSMSSandboxAccountStatus", of[None](), of(
		member("IsInSandbox", flag, func(o *SandboxOutput) *bool { return &o.InSandbox }),
	), nil)
	ListSMSSandboxPhoneNumbers = action(SNS, "ListSMSSandboxPhoneNumbers", phonePage, of(
		member("PhoneNumbers", always(list(of(
			member("PhoneNumber", text, func(p *SandboxPhone) *string { return &p.Number }),
			member("Status", text, func(p *SandboxPhone) *string { return &p.Status }),
		).kind(), members)), func(o *SandboxPhonesOutput) *[]SandboxPhone { return &o.Phones }),
		member("NextToken", text, func(o *SandboxPhonesOutput) *string { return &o.NextToken }),
	), nil)
	ListOriginationNumbers = action(SNS, "ListOriginationNumbers", phonePage, of(
		member("PhoneNumbers", always(list(of(
			member("CreatedAt", text, func(n *OriginationNumber) *string { return &n.Created }),
			member("PhoneNumber", text, func(n *OriginationNumber) *string { return &n.Number }),
			member("Status", text, func(n *OriginationNumber) *string { return &n.Status }),
			member("Iso2CountryCode", text, func(n *OriginationNumber) *string { return &n.Country }),
			member("RouteType", text, func(n *OriginationNumber) *string { return &n.Route }),
			member("NumberCapabilities", list(text, members), func(n *OriginationNumber) *[]string { return &n.Capabilities }),
		).kind(), members)), func(o *OriginationOutput) *[]OriginationNumber { return &o.Numbers }),
		member("NextToken", text, func(o *OriginationOutput) *string { return &o.NextToken }),
	), nil)
)

var (
	platformInput = of(
		member("PlatformApplicationArn", text, func(in *PlatformInput) *string { return &in.ARN }).must(),
		member("NextToken", text, func(in *PlatformInput) *string { return &in.NextToken }),
	)

	endpointInput = of(member("EndpointArn", text, func(in *EndpointInput) *string { return &in.ARN }).must())

	phonePage = of(
		member("NextToken", text, func(in *PhonePageInput) *string { return &in.NextToken }),
		member("MaxResults", optNumber, func(in *PhonePageInput) *Opt[int64] { return &in.MaxResults }),
	)
)

func phone(name string) *shape[PhoneInput] {
	return of(member(name, text, func(in *PhoneInput) *string { return &in.Number }).must())
}

func setAttributes(arn string) *shape[SetAttributesInput] {
	return of(
		member(arn, text, func(in *SetAttributesInput) *string { return &in.ARN }).must(),
		member("Attributes", pairs(entries, "key", "value"), func(in *SetAttributesInput) *Pairs { return &in.Attributes }).must(),
	)
}

func listPlatforms(name, arn string) *shape[ListPlatformsOutput] {
	return of(
		member(name, always(list(of(
			member(arn, text, func(p *Platform) *string { return &p.ARN }),
			member("Attributes", pairs(entries, "key", "value"), func(p *Platform) *Pairs { return &p.Attributes }),
		).kind(), members)), func(o *ListPlatformsOutput) *[]Platform { return &o.Platforms }),
		member("NextToken", text, func(o *ListPlatformsOutput) *string { return &o.NextToken }),
	)
}

// platforms are the services that applications may be of.
var platforms = map[string]bool{"ADM": true, "APNS": true, "APNS_SANDBOX": true, "BAIDU": true, "FCM": true, "GCM": true, "MPNS": true, "WNS": true}

func checkPlatform(in *CreatePlatformInput) *Error {
	if !platforms[in.Platform] {
		return badTopic("Platform Reason: " + in.Platform + " is not supported")
	}
	if in.Name == "" || len(in.Name) > TopicNameBytesMax {
		return badTopic(in.Name[:min(len(in.Name), TopicNameBytesMax)] + " Reason: must be at most 256 characters long")
	}
	for _, u := range in.Name {
		if !nameRune(u) {
			return badTopic(in.Name + " Reason: must contain only characters 'a'-'z', 'A'-'Z', '0'-'9', '_', '-', and '.'")
		}
	}
	return nil
}
