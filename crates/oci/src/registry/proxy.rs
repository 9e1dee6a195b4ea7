use std::net::IpAddr;

use ureq::Proxy;
use ureq::ProxyProtocol;

use super::transport::TransportError;
use super::url::Url;
use crate::credentials::{Environment, Secret};

/// Through which proxy HTTPS goes, and to which hosts it does not. HTTP, which is asked for by option, goes
/// directly, and so does all that stays on this machine.
#[derive(Default)]
pub(crate) struct ProxyRules {
    /// None of one that is named means that it cannot be used.
    proxy: Option<Option<Proxy>>,
    direct: Vec<String>,
}

impl ProxyRules {
    /// As environment variables have it.
    pub(crate) fn new(environment: &Environment) -> Self {
        let is_usable =
            |proxy: &Proxy| matches!(proxy.protocol(), ProxyProtocol::Http | ProxyProtocol::Https);
        let parse = |proxy: &Secret| Proxy::new(proxy.reveal()).ok().filter(is_usable);
        let direct = environment.no_proxy.as_deref().unwrap_or_default().split(',');
        Self {
            proxy: environment.proxy.as_ref().map(parse),
            direct: direct
                .map(|entry| entry.trim().to_ascii_lowercase())
                .filter(|entry| !entry.is_empty())
                .collect(),
        }
    }

    /// The proxy for a host, if it is asked through one. One that cannot be used is not passed by.
    pub(crate) fn for_url(&self, url: &Url) -> Result<Option<Proxy>, TransportError> {
        let direct = !url.is_tls() || url.is_loopback() || self.is_direct(url);
        match &self.proxy {
            Some(proxy) if !direct => proxy.clone().ok_or(TransportError::ProxyKind).map(Some),
            _ => Ok(None),
        }
    }

    /// As Go's `httpproxy` has it, and with it Docker and containerd: `*`, a host and all below it, `HOST:PORT`, an
    /// address, a network.
    fn is_direct(&self, url: &Url) -> bool {
        let authority = url.authority();
        let (host, port) = match authority.rsplit_once(':') {
            Some((host, port)) if !port.contains(']') => (host, port),
            _ => (authority, "443"),
        };
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let address: Option<IpAddr> = host.parse().ok();
        self.direct.iter().any(|entry| {
            let entry = match entry.rsplit_once(':') {
                Some((before, own)) if own == port && !before.contains(':') => before,
                _ => entry,
            };
            let name = entry.trim_start_matches('*').trim_start_matches('.');
            entry == "*"
                || address.is_some_and(|address| within(address, entry))
                || (!name.is_empty()
                    && host.strip_suffix(name).is_some_and(|rest| rest.is_empty() || rest.ends_with('.')))
        })
    }
}

/// Whether the address is in a network written `10.0.0.0/8`.
fn within(address: IpAddr, network: &str) -> bool {
    let Some((base, length)) = network.split_once('/') else { return false };
    let (Ok(base), Ok(length)) = (base.parse::<IpAddr>(), length.parse::<u32>()) else { return false };
    let same = |address: u128, base: u128, bits: u32| {
        length <= bits && (length == 0 || (address ^ base) >> (bits - length) == 0)
    };
    match (address, base) {
        (IpAddr::V4(address), IpAddr::V4(base)) => same(address.to_bits().into(), base.to_bits().into(), 32),
        (IpAddr::V6(address), IpAddr::V6(base)) => same(address.to_bits(), base.to_bits(), 128),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn which_hosts_are_asked_directly() {
        let rules = |no_proxy: &str| {
            ProxyRules::new(&Environment {
                proxy: Some(Secret::new("http://user:pw@proxy.example:3128")),
                no_proxy: Some(no_proxy.to_owned()),
                ..Environment::default()
            })
        };
        for (no_proxy, url, direct) in [
            ("", "https://registry.example.com/", false),
            ("", "http://registry.example.com/", true),
            ("", "https://localhost:5000/", true),
            ("*", "https://registry.example.com/", true),
            ("example.com", "https://registry.example.com/", true),
            ("Example.com, other", "https://example.com/", true),
            (".example.com", "https://registry.example.com/", true),
            ("*.example.com", "https://registry.example.com/", true),
            ("ample.com", "https://registry.example.com/", false),
            ("registry.example.com:443", "https://registry.example.com/", true),
            ("registry.example.com:5000", "https://registry.example.com/", false),
            ("registry.example.com:5000", "https://registry.example.com:5000/", true),
            ("192.0.2.1", "https://192.0.2.1:5000/", true),
            ("192.0.2.0/24", "https://192.0.2.200/", true),
            ("192.0.2.0/25", "https://192.0.2.200/", false),
            ("0.0.0.0/0", "https://192.0.2.200/", true),
            ("192.0.2.0/33", "https://192.0.2.200/", false),
            ("192.0.2.0/x", "https://192.0.2.200/", false),
            ("2001:db8::/32", "https://[2001:db8::1]:5000/", true),
            ("2001:db9::/32", "https://[2001:db8::1]/", false),
        ] {
            let found = rules(no_proxy).for_url(&Url::parse(url).unwrap()).unwrap();
            assert_eq!(found.is_none(), direct, "{no_proxy} {url}");
        }
        let url = |text| Url::parse(text).unwrap();
        for proxy in ["socks5://h:1", "", "a b"] {
            let rules =
                ProxyRules::new(&Environment { proxy: Some(Secret::new(proxy)), ..Environment::default() });
            assert!(
                matches!(rules.for_url(&url("https://a.example")), Err(TransportError::ProxyKind)),
                "{proxy}"
            );
            assert!(rules.for_url(&url("https://localhost")).unwrap().is_none());
        }
        assert!(ProxyRules::default().for_url(&url("https://a.example")).unwrap().is_none());
    }
}
