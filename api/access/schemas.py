"""What the token endpoint looks like on the wire."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class TokenForm(BaseModel):
    """The form of a token request; how the client proves itself stands in the header or in the form."""

    model_config = ConfigDict(
        json_schema_extra={
            "required": ["grant_type"],
            "examples": [{"grant_type": "client_credentials", "scope": "scores:write"}],
        }
    )

    grant_type: Literal["client_credentials"] = Field(description="Always `client_credentials`.")
    scope: str = Field("", description="Scopes with spaces between; all that the client holds where left out.")
    client_id: str = Field("", description="The client's id, where the header does not say it.")
    client_secret: str = Field("", description="The client's secret, where the header does not hold it.")
    client_assertion_type: str = Field(
        "", description="With a client_assertion: `urn:ietf:params:oauth:client-assertion-type:jwt-bearer`."
    )
    client_assertion: str = Field(
        "",
        description="A JWT signed with the client's registered key (`private_key_jwt`): iss and sub the client_id, aud "
        "the token endpoint or the issuer, exp at most 5 minutes ahead, jti used once.",
    )


class TokenAnswer(BaseModel):
    """A token for the `Authorization: Bearer` header."""

    model_config = ConfigDict(extra="forbid")

    access_token: str = Field(description="A signed JWT (RFC 9068).", examples=["eyJhbGciOiJFZDI1NTE5Iiw…"])
    token_type: Literal["Bearer"] = Field(description="Always `Bearer`.", examples=["Bearer"])
    expires_in: int = Field(description="Seconds that it is good for.", examples=[600])
    scope: str = Field(description="What it allows, scopes with spaces between.", examples=["scores:read scores:write"])


class TokenError(BaseModel):
    """Why no token is given (RFC 6749, 5.2)."""

    model_config = ConfigDict(extra="forbid")

    error: Literal["invalid_request", "invalid_client", "unsupported_grant_type", "invalid_scope"] = Field(
        description="What kind of refusal; stable.", examples=["invalid_client"]
    )
    error_description: str = Field(description="The refusal in words.", examples=["A field is given more than once."])
