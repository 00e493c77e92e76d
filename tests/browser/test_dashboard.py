"""Ray's dashboard, as people open it: the token is pasted once, and the trial of each worker is on the cluster page."""

import os
import re
import signal
import subprocess
import sys

from tests.end_to_end.searches import RATE, write_space

# Ray collects what its page shows every 15 seconds; this is every second.
QUICKLY = {
    "RAY_DASHBOARD_STATS_UPDATING_INTERVAL": "1",
    "REPORTER_UPDATE_INTERVAL_MS": "1000",
    "NODE_STATS_UPDATE_INTERVAL_SECONDS": "2",
}


def test_the_running_trial_is_on_the_cluster_page(browser, tmp_path):
    from selenium.webdriver.common.by import By
    from selenium.webdriver.support import expected_conditions as seen
    from selenium.webdriver.support.ui import WebDriverWait

    space = write_space(tmp_path, RATE, "num_samples: 500, scheduler: none", MODEL__BACKBONE__NAME="slow_tiny")
    command = [sys.executable, "-u", "-m", "search.run", "--space", str(space), "-o", "out"]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("RAY_AUTH")} | QUICKLY
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment
    ) as search:
        try:
            line = next(line for line in search.stdout if line.startswith("Ray dashboard: "))
            url, token = re.search(r"(http://\S+)  \(paste this token there once: (\w+)\)", line).groups()
            wait = WebDriverWait(browser, 90, poll_frequency=0.2)
            browser.get(f"{url}/#/cluster")
            field = wait.until(
                seen.visibility_of_element_located((By.CSS_SELECTOR, "[role=dialog] input[type=password]"))
            )
            field.send_keys(token)
            submit = "//*[@role='dialog']//button[normalize-space()='Submit']"
            wait.until(seen.element_to_be_clickable((By.XPATH, submit))).click()
            wait.until(seen.staleness_of(field))  # the page loads anew
            worker = "//table//tbody/tr//a[contains(., 'ray::trial')]"
            found = wait.until(seen.visibility_of_element_located((By.XPATH, worker)))
            assert re.fullmatch(r"ray::trial \d+, epoch \d/9", found.text)
        finally:
            search.send_signal(signal.SIGINT)
            search.stdout.read()
    assert search.returncode == 130
