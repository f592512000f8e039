//! A headless Chromium, driven over its DevTools protocol. It keeps its profile in a folder of its own and sends nothing of its own
//! accord; what a page asked for, and what the browser had to say of it, is kept for the test.

use std::net::{Ipv4Addr, TcpStream};
use std::path::Path;
use std::process::Command;
use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use tungstenite::{Message, WebSocket};

use super::process::Process;
use super::wait::{SOON, wait_until};

/// How long the browser may take to carry out one command.
const COMMAND: Duration = Duration::from_secs(60);

/// A browser with one page. Dropped, it is killed.
pub struct Browser {
    socket: WebSocket<TcpStream>,
    session: Option<String>,
    last: u64,
    events: Vec<Value>,
    _process: Process,
    _turn: MutexGuard<'static, ()>,
}

/// Several that start at once keep each other from listening on a machine of two cores.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

/// How often a start is tried.
const STARTS: usize = 4;

/// What asks for the value of an expression.
fn asked(expression: &str) -> Value {
    json!({ "expression": expression, "awaitPromise": true, "returnByValue": true })
}

/// A browser, its port and the path of its protocol; nothing if it does not listen.
fn listening(folder: &Path) -> Option<(Process, u16, String)> {
    std::fs::create_dir_all(folder).expect("a folder for the browser");
    let profile = folder.join("profile");
    let process = Process::start(
        "chromium",
        Command::new("chromium")
            .args([
                "--headless",
                "--no-sandbox",
                "--disable-gpu",
                "--disable-quic",
            ])
            .args(["--no-first-run", "--disable-background-networking"])
            .args(["--disable-component-update", "--disable-sync"])
            .args(["--disable-dev-shm-usage", "--remote-debugging-port=0"])
            .arg(format!("--user-data-dir={}", profile.display()))
            .arg("about:blank"),
        &folder.join("chromium.log"),
    );
    let end = Instant::now() + SOON;
    while Instant::now() < end {
        let file = std::fs::read_to_string(profile.join("DevToolsActivePort")).ok();
        let said = file.as_deref().and_then(|file| file.split_once('\n'));
        if let Some((port, path)) = said
            && let Ok(port) = port.parse()
        {
            return Some((process, port, path.trim().to_owned()));
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    None
}

impl Browser {
    /// Starts one that keeps everything in `folder`.
    pub fn start(folder: &Path) -> Browser {
        let turn = super::lock(&ONE_AT_A_TIME);
        // One that has just been installed may hang at its first start.
        let started = (0..STARTS).find_map(|number| listening(&folder.join(number.to_string())));
        let (process, port, path) = started.expect("a browser that listens");
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).expect("DevTools");
        stream.set_read_timeout(Some(COMMAND)).expect("a limit");
        let (socket, _) =
            tungstenite::client(format!("ws://127.0.0.1:{port}{path}"), stream).expect("DevTools");
        let mut browser = Browser {
            socket,
            session: None,
            last: 0,
            events: Vec::new(),
            _process: process,
            _turn: turn,
        };
        let target = browser.call("Target.createTarget", json!({ "url": "about:blank" }));
        let attached = browser.call(
            "Target.attachToTarget",
            json!({ "targetId": target["targetId"], "flatten": true }),
        );
        browser.session = attached["sessionId"].as_str().map(str::to_owned);
        for domain in ["Page", "Runtime", "Log", "Network", "Accessibility"] {
            browser.call(&format!("{domain}.enable"), json!({}));
        }
        browser
    }

    /// Carries out a command of the protocol; what it answers.
    #[track_caller]
    pub fn call(&mut self, method: &str, parameters: Value) -> Value {
        self.try_call(method, parameters)
            .unwrap_or_else(|error| panic!("{method}: {error}"))
    }

    /// The same; the error if the browser has one.
    fn try_call(&mut self, method: &str, parameters: Value) -> Result<Value, Value> {
        self.last += 1;
        let mut command = json!({ "id": self.last, "method": method, "params": parameters });
        if let Some(session) = &self.session {
            command["sessionId"] = json!(session);
        }
        self.socket
            .send(Message::text(command.to_string()))
            .expect("a command");
        loop {
            let message = self.socket.read().expect("an answer");
            let Ok(text) = message.into_text() else {
                continue;
            };
            let mut message: Value = serde_json::from_str(&text).unwrap_or_default();
            if message["id"] == self.last {
                return match message["error"].take() {
                    Value::Null => Ok(message["result"].take()),
                    error => Err(error),
                };
            }
            if message["method"].is_string() {
                self.events.push(message);
            }
        }
    }

    /// Loads a page.
    #[track_caller]
    pub fn open(&mut self, url: &str) {
        let answer = self.call("Page.navigate", json!({ "url": url }));
        assert!(answer["errorText"].is_null(), "{url}: {answer}");
        self.until("document.readyState === 'complete'");
    }

    /// What an expression is in the page; of a promise, what becomes of it.
    #[track_caller]
    pub fn evaluate(&mut self, expression: &str) -> Value {
        let mut answer = self.call("Runtime.evaluate", asked(expression));
        assert!(
            answer["exceptionDetails"].is_null(),
            "{expression}: {answer}"
        );
        answer["result"]["value"].take()
    }

    /// The same, as text.
    #[track_caller]
    pub fn text(&mut self, expression: &str) -> String {
        let value = self.evaluate(expression);
        value
            .as_str()
            .map_or_else(|| value.to_string(), str::to_owned)
    }

    /// Waits until an expression is true in the page, even if it is another page by then.
    #[track_caller]
    pub fn until(&mut self, expression: &str) {
        wait_until(expression, SOON, || {
            // A page that is left answers with an error.
            let answer = self.try_call("Runtime.evaluate", asked(expression));
            answer.is_ok_and(|answer| answer["result"]["value"] == true)
        });
    }

    /// Presses a key that writes `text`, or a named one.
    pub fn press(&mut self, key: &str) {
        let mut down = json!({ "type": "keyDown", "key": key });
        match key {
            "Enter" => {
                down["text"] = json!("\r");
                down["windowsVirtualKeyCode"] = json!(13);
            }
            "Escape" => down["windowsVirtualKeyCode"] = json!(27),
            "Tab" => down["windowsVirtualKeyCode"] = json!(9),
            text => down["text"] = json!(text),
        }
        self.call("Input.dispatchKeyEvent", down.clone());
        down["type"] = json!("keyUp");
        if let Some(up) = down.as_object_mut() {
            up.remove("text");
        }
        self.call("Input.dispatchKeyEvent", down);
    }

    /// A window of this size, with a person who wants it dark or not.
    pub fn view(&mut self, width: u32, height: u32, dark: bool) {
        let size = json!({
            "width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600,
        });
        self.call("Emulation.setDeviceMetricsOverride", size);
        let scheme = if dark { "dark" } else { "light" };
        let feature = json!({ "name": "prefers-color-scheme", "value": scheme });
        self.call(
            "Emulation.setEmulatedMedia",
            json!({ "features": [feature] }),
        );
    }

    /// A picture of what is in the window, as PNG.
    pub fn screenshot(&mut self, file: &Path) {
        let picture = self.call("Page.captureScreenshot", json!({ "format": "png" }));
        let bytes = STANDARD
            .decode(picture["data"].as_str().unwrap_or_default())
            .expect("a picture");
        if let Some(folder) = file.parent() {
            std::fs::create_dir_all(folder).expect("a folder for the picture");
        }
        std::fs::write(file, bytes).expect("a picture's file");
    }

    /// Forgets what the browser has complained of.
    pub fn forget(&mut self) {
        // Whatever was said before this answer has arrived with it.
        self.evaluate("0");
        self.events.clear();
    }

    /// What the browser complains of: exceptions, errors of the console and of policies, and requests to anywhere but `origin`.
    pub fn complaints(&mut self, origin: &str) -> Vec<String> {
        // Whatever was said before this answer has arrived with it.
        self.evaluate("0");
        let complaint = |event: &Value| {
            let parameters = &event["params"];
            match event["method"].as_str()? {
                "Runtime.exceptionThrown" => Some(parameters.to_string()),
                "Log.entryAdded" => {
                    let entry = &parameters["entry"];
                    (entry["level"] == "error").then(|| entry.to_string())
                }
                "Runtime.consoleAPICalled" => {
                    (parameters["type"] == "error").then(|| parameters.to_string())
                }
                "Network.requestWillBeSent" => {
                    let url = parameters["request"]["url"].as_str()?;
                    let is_own = url.starts_with(origin) || url.starts_with("data:");
                    (!is_own && url != "about:blank").then(|| url.to_owned())
                }
                _ => None,
            }
        };
        self.events.iter().filter_map(complaint).collect()
    }

    /// Role and name of everything that an assistive program is told of.
    pub fn accessible(&mut self) -> Vec<(String, String)> {
        let tree = self.call("Accessibility.getFullAXTree", json!({}));
        let text = |value: &Value| value["value"].as_str().unwrap_or_default().to_owned();
        let nodes = tree["nodes"].as_array().cloned().unwrap_or_default();
        let told = nodes.iter().filter(|node| node["ignored"] != true);
        told.map(|node| (text(&node["role"]), text(&node["name"])))
            .collect()
    }

    /// Lets this long pass.
    pub fn rest(&mut self, time: Duration) {
        let begun = Instant::now();
        wait_until("time to pass", time * 3, || begun.elapsed() >= time);
    }
}
