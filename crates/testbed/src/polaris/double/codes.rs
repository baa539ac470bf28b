//! The codes of answers. Their first three digits are the status over HTTP.

/// A code: six digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct AnswerCode(pub u32);

impl AnswerCode {
    pub const SUCCESS: Self = Self(200_000);
    /// The revision that was asked with is the present one.
    pub const NO_CHANGE: Self = Self(200_001);
    /// An update that changes nothing.
    pub const NO_NEED: Self = Self(200_002);
    pub const BAD_REQUEST: Self = Self(400_000);
    pub const PARSE: Self = Self(400_001);
    pub const EMPTY_REQUEST: Self = Self(400_002);
    pub const BATCH_SIZE: Self = Self(400_003);
    pub const DISCOVER_RESOURCE: Self = Self(400_004);
    pub const PARAMETER: Self = Self(400_103);
    pub const EMPTY_QUERY: Self = Self(400_104);
    pub const QUERY_PARAMETER: Self = Self(400_105);
    pub const NAMESPACE_NAME: Self = Self(400_110);
    pub const SERVICE_NAME: Self = Self(400_120);
    pub const INSTANCE_ID: Self = Self(400_130);
    pub const INSTANCE_HOST: Self = Self(400_131);
    pub const INSTANCE_PORT: Self = Self(400_132);
    pub const INSTANCE_PROTOCOL: Self = Self(400_136);
    pub const INSTANCE_VERSION: Self = Self(400_137);
    pub const INSTANCE_LOGIC_SET: Self = Self(400_138);
    pub const INSTANCE_ISOLATE: Self = Self(400_139);
    pub const METADATA: Self = Self(400_150);
    pub const EXISTED: Self = Self(400_201);
    pub const NOT_FOUND: Self = Self(400_202);
    pub const NAMESPACE_HAS_SERVICES: Self = Self(400_203);
    pub const SERVICE_HAS_INSTANCES: Self = Self(400_204);
    /// The same instance twice in one batch.
    pub const SAME_INSTANCE: Self = Self(400_208);
    pub const NO_SERVICE: Self = Self(400_301);
    pub const NO_INSTANCE: Self = Self(400_303);
    pub const NO_USER: Self = Self(400_312);
    pub const NOT_ALLOWED: Self = Self(401_001);
    pub const TOKEN_DISABLED: Self = Self(401_003);
    /// A token that was one.
    pub const NO_TOKEN: Self = Self(401_004);
    pub const EXCEPTION: Self = Self(500_000);

    pub fn status(self) -> u16 {
        u16::try_from(self.0 / 1_000).unwrap_or(500)
    }

    pub fn is_success(self) -> bool {
        self.status() == 200
    }

    /// The server's words; empty for a code that it has none for.
    pub fn info(self) -> &'static str {
        match self {
            Self::SUCCESS => "execute success",
            Self::NO_CHANGE => "discover data is no change",
            Self::NO_NEED => "update data is no change, no need to update",
            Self::BAD_REQUEST => "bad request",
            Self::PARSE => "request decode failed",
            Self::EMPTY_REQUEST => "empty request",
            Self::BATCH_SIZE => "batch size over the limit",
            Self::DISCOVER_RESOURCE => "invalid discover resource",
            Self::PARAMETER => "invalid parameter",
            Self::EMPTY_QUERY => "query instance parameter is empty",
            Self::QUERY_PARAMETER => "query instance, service or namespace or host is required",
            Self::NAMESPACE_NAME => "invalid namespace name",
            Self::SERVICE_NAME => "invalid service name",
            Self::INSTANCE_ID => "invalid instance id",
            Self::INSTANCE_HOST => "invalid instance host",
            Self::INSTANCE_PORT => "invalid instance port",
            Self::INSTANCE_PROTOCOL => "invalid instance protocol",
            Self::INSTANCE_VERSION => "invalid instance version",
            Self::INSTANCE_LOGIC_SET => "invalid instance logic set",
            Self::INSTANCE_ISOLATE => "invalid instance isolate",
            Self::METADATA => "the length of metadata is too long or metadata contains invalid characters",
            Self::EXISTED => "existed resource",
            Self::NOT_FOUND => "not found resource",
            Self::NAMESPACE_HAS_SERVICES => "some services existed in namespace",
            Self::SERVICE_HAS_INSTANCES => "some instances existed in service",
            Self::SAME_INSTANCE => "the same instance request",
            Self::NO_SERVICE => "not found service",
            Self::NO_INSTANCE => "not found instances",
            Self::NO_USER => "not found user",
            Self::NOT_ALLOWED => "access is not approved",
            Self::TOKEN_DISABLED => "token already disabled",
            Self::NO_TOKEN => "token not existed",
            Self::EXCEPTION => "execute exception",
            Self(500_001) => "store layer exception",
            Self(403_003) => "server limit the api access",
            Self(429_001) => "your instance has too many requests",
            Self(429_002) => "server limit the ip access",
            Self(_) => "",
        }
    }
}
